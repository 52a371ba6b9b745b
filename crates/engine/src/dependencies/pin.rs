//! Lookup and check of an agent's tier and services, before its run is admitted.

use std::sync::Arc;

use errand_api::agent_file::{ANY_DISPATCHER, Agent};
use errand_api::catalog::{
    CatalogSpec, DefinitionName, ModelRouteDefinition, RouteEntry, ServiceDefinition,
};
use errand_model::catalog::{CatalogKind, CatalogPin};
use errand_model::event::ReplayPolicy;
use futures_util::future::BoxFuture;

use super::{DependencyProblem, Error};
use crate::catalog::{self, FiledCatalog};
use crate::health::CheckEnvironment;
use crate::submission::{CheckedSubmission, Submission};
use crate::{Engine, environment, equipment};

/// Most dispatchers that a run may choose from.
const DISPATCHER_LIMIT: u32 = 100;

/// Tier and services of an agent, and the dispatchers that may carry it out.
#[derive(Debug, Default)]
struct Found {
    /// Their versions: the tier first, then its services, then those of the agent.
    pins: Vec<CatalogPin>,
    services: Vec<(String, ServiceDefinition)>,
}

/// Returns a submission whose agent is equipped with its tier and services. Reads nothing for an
/// agent without them, and for a submission that is equipped already.
///
/// # Errors
///
/// [`DependencyProblem`]; if a secret that the services need is missing on the machine that carries
/// the run out.
pub fn equipped(
    engine: &Engine,
    submission: CheckedSubmission,
) -> BoxFuture<'_, Result<CheckedSubmission, Error>> {
    Box::pin(async move {
        let asked = submission.submission();
        let agent = &asked.parcel.agent;
        let repeats = asked.lineage.replay.as_ref().map(|replay| replay.policy);
        let is_strict = repeats == Some(ReplayPolicy::Strict);
        // A strict replay calls no model.
        let chosen = asked.options.model_route.as_deref().or(agent.model_route.as_deref());
        let route = chosen.filter(|_| !is_strict);
        if !has_any(agent, route) || asked.dependencies.is_some() {
            return Ok(submission);
        }
        let namespace = asked.options.namespace.as_deref();
        let found = find(engine, namespace, (agent, route)).await?;
        if !is_strict {
            for (name, service) in &found.services {
                let checked = engine.health_checks().check(service, environment_of(engine)).await;
                checked.map_err(|answer| DependencyProblem::Unhealthy {
                    of: agent.name.clone(),
                    name: name.clone(),
                    answer,
                })?;
            }
        }
        let mut parcel = asked.parcel.as_ref().clone();
        equipment::equip(engine, &mut parcel.agent, &found.pins)?;
        let replay = asked.lineage.replay.as_ref();
        environment::spare_gateway_secrets(engine.surroundings(), &mut parcel.agent, replay);
        check_secrets(engine, asked, &parcel.agent)?;
        Ok(submission.equipped_with(Arc::new(parcel), found.pins))
    })
}

/// Returns the environment of checks that are programs: the part of this process's that agents see.
fn environment_of(engine: &Engine) -> CheckEnvironment {
    let all = engine.surroundings().environment.iter();
    let passed = all.filter(|(name, _)| environment::is_passed_on(name));
    passed.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Refuses a run of this machine whose added secrets are missing, or given in a place that is
/// recorded.
fn check_secrets(engine: &Engine, asked: &Submission, agent: &Agent) -> Result<(), Error> {
    let around = engine.surroundings();
    let secrets = if asked.options.placement.is_none() {
        environment::secrets(around, agent)?
    } else {
        environment::secrets_here(around, &agent.secrets)
    };
    Ok(crate::submission::refuse_exposed(&secrets, asked.input.as_deref(), &asked.options.env)?)
}

/// Returns the definitions that an agent names as its tier and its services, if they exist.
///
/// # Errors
///
/// [`DependencyProblem::Missing`].
pub async fn check_names(
    engine: &Engine,
    namespace: Option<&str>,
    agent: &Agent,
) -> Result<Vec<DefinitionName>, Error> {
    let found = find(engine, namespace, (agent, agent.model_route.as_deref())).await?;
    let own = |(kind, name): &DefinitionName| {
        let own_kinds = [
            CatalogKind::Tier,
            CatalogKind::Dispatcher,
            CatalogKind::Policy,
            CatalogKind::ModelRoute,
        ];
        own_kinds.contains(kind)
            || agent.dependencies.iter().any(|it| it.service_name() == Some(name))
    };
    let names = found.pins.into_iter().map(|pin| (pin.kind, pin.name));
    Ok(names.filter(own).collect())
}

fn find<'a>(
    engine: &'a Engine,
    namespace: Option<&'a str>,
    (agent, route): (&'a Agent, Option<&'a str>),
) -> BoxFuture<'a, Result<Found, Error>> {
    Box::pin(async move {
        let mut found = Found::default();
        if !has_any(agent, route) {
            return Ok(found);
        }
        let filed = FiledCatalog::read(engine, namespace)?;
        let mut services: Vec<(String, String)> = Vec::new();
        if let Some(tier) = &agent.tier {
            let definition = (CatalogKind::Tier, tier.clone());
            let of = format!("the agent {}", agent.name);
            if let CatalogSpec::Tier(spec) =
                one(engine, &filed, &of, definition, &mut found).await?
            {
                let of = format!("the tier {tier}");
                services.extend(spec.services.into_iter().map(|name| (name, of.clone())));
            }
        }
        let of = format!("the agent {}", agent.name);
        for name in &agent.policies {
            let definition = (CatalogKind::Policy, name.clone());
            one(engine, &filed, &of, definition, &mut found).await?;
        }
        if let Some(route) = route {
            let definition = (CatalogKind::ModelRoute, route.to_owned());
            if let CatalogSpec::ModelRoute(spec) =
                one(engine, &filed, &of, definition, &mut found).await?
            {
                check_route(agent, route, &spec)?;
            }
        }
        let own = agent.dependencies.iter().filter_map(|it| it.service_name());
        services.extend(own.map(|name| (name.to_owned(), of.clone())));
        for (name, of) in services {
            if found.services.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let definition = (CatalogKind::Service, name.clone());
            let spec = one(engine, &filed, &of, definition, &mut found).await?;
            if let CatalogSpec::Service(service) = spec {
                found.services.push((name, service));
            }
        }
        if let Some(dispatcher) = &agent.dispatcher {
            for name in dispatchers(engine, namespace, agent, dispatcher).await? {
                let of = format!("the agent {}", agent.name);
                one(engine, &filed, &of, (CatalogKind::Dispatcher, name), &mut found).await?;
            }
        }
        Ok(found)
    })
}

/// Returns true if an agent names a tier, a service, a dispatcher or a policy, or has a model route.
const fn has_any(agent: &Agent, route: Option<&str>) -> bool {
    route.is_some()
        || agent.tier.is_some()
        || !agent.dependencies.is_empty()
        || agent.dispatcher.is_some()
        || !agent.policies.is_empty()
}

/// Refuses a model route that leads to a provider which the agent does not have: its requests would
/// have another wire format.
fn check_route(
    agent: &Agent,
    route: &str,
    spec: &ModelRouteDefinition,
) -> Result<(), DependencyProblem> {
    let lacks = |entry: &&RouteEntry| agent.providers.get(entry.to.provider).is_none();
    let Some(entry) = spec.routes.iter().find(lacks) else { return Ok(()) };
    Err(DependencyProblem::RouteMismatch {
        agent: agent.name.clone(),
        route: route.to_owned(),
        pattern: entry.r#match.clone(),
        provider: entry.to.provider.as_str(),
        providers: agent.providers.iter().map(|(name, _)| name.as_str()).collect(),
    })
}

/// Returns the names of the dispatchers that an agent may be sent to: the one that it names, or all those
/// of the catalog without a label that differs from the agent's.
fn dispatchers<'a>(
    engine: &'a Engine,
    namespace: Option<&'a str>,
    agent: &'a Agent,
    named: &'a str,
) -> BoxFuture<'a, Result<Vec<String>, Error>> {
    Box::pin(async move {
        if named != ANY_DISPATCHER {
            return Ok(vec![named.to_owned()]);
        }
        let kind = CatalogKind::Dispatcher;
        let mut names = Vec::new();
        for entry in catalog::list(engine, namespace, kind, None, DISPATCHER_LIMIT).await? {
            let definition = (kind, entry.name.clone());
            let item = catalog::get(engine, namespace, &definition, None).await?;
            let CatalogSpec::Dispatcher(spec) = item.manifest.spec else { continue };
            let fits = |(key, value): (&String, &String)| {
                agent.labels.get(key).is_none_or(|own| own == value)
            };
            if spec.labels.iter().all(fits) {
                names.push(entry.name);
            }
        }
        Ok(names)
    })
}

/// Returns a definition, and adds its pin.
fn one<'a>(
    engine: &'a Engine,
    filed: &'a FiledCatalog<'a>,
    of: &'a str,
    definition: DefinitionName,
    found: &'a mut Found,
) -> BoxFuture<'a, Result<CatalogSpec, Error>> {
    Box::pin(async move {
        let (kind, name) = definition.clone();
        let missing = |hint: String| DependencyProblem::Missing {
            of: of.to_owned(),
            kind,
            name: name.clone(),
            hint,
        };
        let Some(pin) = filed.pin(engine, &definition).await? else {
            return Err(missing(filed.hint(engine, &definition).await?).into());
        };
        found.pins.push(pin);
        match catalog::manifest_of(engine, &found.pins, kind, &name)? {
            Some(manifest) => Ok(manifest.spec),
            None => Err(missing(String::new()).into()),
        }
    })
}
