//! Door to the model providers and tools of an attempt's agent.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use errand_agent::agent_api::Backend;
use errand_agent::log;
use errand_agent::model_door::{
    ModelDoor, ModelDoorError, ModelDoorOrder, ModelDoorReport, ModelProvider, ModelRouting,
    RoutedCalls, RoutedModel, Shutdown,
};
use errand_agent::parcel::Parcel;
use errand_agent::redact::Redactor;
use errand_agent::secret::{FoundSecret, SecretValue};
use errand_api::agent_file::{
    Agent, EgressPattern, PolicyRule, ProviderName, Providers, TargetKind,
};
use errand_api::catalog::{CatalogSpec, FallbackCause, RouteTarget};
use errand_model::catalog::CatalogKind;
use errand_model::failure::Failure;
use errand_model::parse_duration;
use errand_model::run::Run;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::signals::ControlState;
use super::tools;
use crate::admit::is_strict;
use crate::error::AgentUnsupported;
use crate::{Engine, EngineContext, Error, catalog};

/// Places that a door needs.
#[derive(Debug)]
pub(super) struct DoorPlaces<'a> {
    /// Socket for an agent that does not see this machine.
    pub(super) socket: Option<PathBuf>,
    /// Directory in which tool servers start.
    pub(super) workspace: &'a Path,
    /// Log of the run.
    pub(super) log: &'a Arc<log::Writer>,
}

/// Opens the door of an agent that has providers or tool servers; `None` for any other agent.
///
/// # Errors
///
/// If this program has no gateways, or an address, a key or a tool server cannot be used.
pub(super) fn opened(
    engine: &Engine,
    run: &Run,
    (parcel, secrets): (&Parcel, &[FoundSecret]),
    (token, redactor): (&str, &Redactor),
    places: DoorPlaces<'_>,
) -> Result<Option<Box<dyn ModelDoor>>, Error> {
    let (around, agent) = (engine.surroundings(), &parcel.agent);
    let DoorPlaces { socket, workspace, log } = places;
    let replayed = if is_strict(run) { unused_keys(agent, secrets)? } else { Vec::new() };
    let keys = [secrets, &replayed].concat();
    let tools = tools::order(engine, run, (parcel, secrets), workspace, log)?;
    let has_proxy = has_proxy(agent);
    if agent.providers.is_empty() && tools.is_none() && !has_proxy {
        return Ok(None);
    }
    let Some(gateway) = &around.model_gateway else {
        return Err(AgentUnsupported::asking_for(&["the gateways".to_owned()]).into());
    };
    let order = ModelDoorOrder {
        token: token.to_owned(),
        providers: providers(around, &agent.providers, &keys),
        ignored: agent.replay.ignore.clone(),
        sampling: agent.observability.sampling,
        route: routing(engine, run, agent, secrets)?,
        tools,
        has_proxy,
        redactor: redactor.clone(),
        socket,
    };
    Ok(Some(gateway.open(order)?))
}

/// Returns the variables of a door, if there is one.
pub(super) fn variables(
    door: Option<&dyn ModelDoor>,
) -> impl Iterator<Item = (&'static str, OsString)> {
    let variables = door.map(ModelDoor::variables).unwrap_or_default();
    variables.into_iter().map(|(name, value)| (name, value.into()))
}

/// Returns values in the place of keys that a strict replay lacks: it calls no provider.
fn unused_keys(agent: &Agent, secrets: &[FoundSecret]) -> Result<Vec<FoundSecret>, Error> {
    let lacks = |name: &&String| !secrets.iter().any(|found| found.name == **name);
    let lacking = agent.providers.iter().map(|(_, provider)| &provider.key).filter(lacks);
    let unused = lacking.map(|name| {
        let value = SecretValue::new(UNUSED_KEY.to_vec());
        let value = value.map_err(|_| ModelDoorError::Key { name: name.clone() })?;
        Ok(FoundSecret { name: name.clone(), value })
    });
    unused.collect()
}

/// Key of a provider that no call reaches.
const UNUSED_KEY: &[u8] = b"no-call-of-a-replay-goes-out";

/// Returns the providers with their keys and addresses. Missing keys were reported before.
fn providers(
    around: &EngineContext,
    configured: &Providers,
    secrets: &[FoundSecret],
) -> Vec<ModelProvider> {
    let with_key = configured.iter().filter_map(|(name, provider)| {
        let key = secrets.iter().find(|secret| secret.name == provider.key)?.clone();
        let base_url = provider.base_url.clone().unwrap_or_else(|| address(around, name));
        Some(ModelProvider { name, base_url, key })
    });
    with_key.collect()
}

/// Returns the route that the run has pinned, with its keys.
fn routing(
    engine: &Engine,
    run: &Run,
    agent: &Agent,
    secrets: &[FoundSecret],
) -> Result<Option<ModelRouting>, Error> {
    let pins = &run.spec.catalog;
    let Some(pin) = pins.iter().find(|pin| pin.kind == CatalogKind::ModelRoute) else {
        return Ok(None);
    };
    let manifest = catalog::manifest_of(engine, pins, pin.kind, &pin.name)?;
    let Some(CatalogSpec::ModelRoute(spec)) = manifest.map(|manifest| manifest.spec) else {
        return Ok(None);
    };
    let around = engine.surroundings();
    let entries = spec.routes.iter().map(|entry| RoutedCalls {
        pattern: entry.r#match.clone(),
        targets: entry
            .targets()
            .filter_map(|target| routed(around, agent, target, secrets))
            .collect(),
        causes: FallbackCause::ALL.into_iter().filter(|it| entry.falls_back_on(*it)).collect(),
        timeout: entry.timeout.as_deref().and_then(|text| parse_duration(text).ok()),
    });
    Ok(Some(ModelRouting { name: pin.name.clone(), entries: entries.collect() }))
}

/// Returns a model of a route with the key of its provider. A missing key was reported before.
fn routed(
    around: &EngineContext,
    agent: &Agent,
    target: &RouteTarget,
    secrets: &[FoundSecret],
) -> Option<RoutedModel> {
    let name = target.provider;
    let own = agent.providers.get(name)?;
    let key = target.key.as_ref().unwrap_or(&own.key);
    let key = secrets.iter().find(|secret| secret.name == *key)?.clone();
    let base_url = target.base_url.clone().or_else(|| own.base_url.clone());
    let base_url = base_url.unwrap_or_else(|| address(around, name));
    Some(RoutedModel {
        provider: ModelProvider { name, base_url, key },
        model: target.model.clone(),
    })
}

/// Returns the address of a provider whose configuration names none.
fn address(around: &EngineContext, name: ProviderName) -> String {
    let own = around.environment.get(OsStr::new(name.base_url_variable()));
    let own = own.and_then(|url| url.to_str()).filter(|url| !url.is_empty());
    own.unwrap_or(name.public_base_url()).to_owned()
}

/// A door that is being served by a task of its own.
#[derive(Debug)]
pub(super) struct ServedDoor {
    task: JoinSet<ModelDoorReport>,
    close: oneshot::Sender<()>,
    hurry: oneshot::Sender<()>,
    failure: Option<watch::Receiver<Option<Failure>>>,
    listed: Option<watch::Receiver<bool>>,
}

impl ServedDoor {
    /// Serves a door with the backend of its attempt.
    pub(super) fn begin(door: Box<dyn ModelDoor>, backend: Arc<dyn Backend>) -> Self {
        let (close, closing) = oneshot::channel();
        let (hurry, hurrying) = oneshot::channel::<()>();
        let mut task = JoinSet::new();
        let (failure, listed) = (door.failure(), door.tools_listed());
        // A supervisor that is gone closes the door too.
        let shutdown = Shutdown {
            closed: Box::pin(async { drop(closing.await) }),
            hurried: Box::pin(async { drop(hurrying.await) }),
        };
        task.spawn(door.serve(backend, shutdown));
        Self { task, close, hurry, failure, listed }
    }

    /// Waits until the tools of the attempt are listed. Returns the failure for which it has to end.
    pub(super) async fn tools_listed(&self) -> Option<Failure> {
        let mut listed = self.listed.clone()?;
        // A door that was closed lists nothing.
        drop(listed.wait_for(|is_listed| *is_listed).await);
        self.failure.as_ref()?.borrow().clone()
    }

    /// Waits until the attempt has to end because of the door: a tool server failed.
    pub(super) async fn failed(&self) -> Failure {
        let Some(failure) = &self.failure else { return std::future::pending().await };
        let mut failure = failure.clone();
        let found = failure.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match found {
            Some(failure) => failure,
            // The door was closed without a failure.
            None => std::future::pending().await,
        }
    }

    /// Closes the door, and waits until the calls under way are recorded. Their answers are waited for,
    /// until a second signal says that they are not.
    pub(super) async fn close(self, mut control: watch::Receiver<ControlState>) -> ModelDoorReport {
        let Self { mut task, close, hurry, .. } = self;
        drop(close);
        let is_hurried = |control: &ControlState| control.interrupts > 1 || control.drains > 1;
        let hurried = async move { control.wait_for(is_hurried).await.is_ok() };
        let ended = tokio::select! {
            ended = task.join_next() => ended,
            // Without a sender no further signal comes.
            true = hurried => {
                drop(hurry);
                task.join_next().await
            }
        };
        ended.and_then(Result::ok).unwrap_or_default()
    }
}

/// Returns what to say about a run whose agent had providers and called none through the door.
pub(super) fn unused_note(agent: &Agent, report: ModelDoorReport) -> Option<String> {
    if report.requests > 0 || agent.providers.is_empty() {
        return None;
    }
    let names: Vec<&str> = agent.providers.iter().map(|(name, _)| name.as_str()).collect();
    if report.foreign > 0 {
        let variables: Vec<&str> =
            agent.providers.iter().map(|(name, _)| name.key_variable()).collect();
        return Some(format!(
            "no model call came through errand: {} requests were refused, since their key was not that \
             of the run's environment: the program may not read {}",
            report.foreign,
            variables.join(", ")
        ));
    }
    let variables: Vec<&str> =
        agent.providers.iter().map(|(name, _)| name.base_url_variable()).collect();
    Some(format!(
        "no model call came through errand, although {} is configured: the program may not read {}",
        names.join(", "),
        variables.join(", ")
    ))
}

/// Returns true if the agent reaches hosts through a proxy of the door.
fn has_proxy(agent: &Agent) -> bool {
    match &agent.target {
        TargetKind::Process(place) => place.has_proxy(),
        TargetKind::Container(_) | TargetKind::Kubernetes(_) => false,
    }
}

/// Returns what to say about a run whose policies of the catalog have rules about hosts that decide
/// nothing: its agent reaches hosts past errand.
///
/// # Errors
///
/// If a policy is missing or damaged.
pub(super) fn idle_egress_note(
    engine: &Engine,
    run: &Run,
    agent: &Agent,
) -> Result<Option<String>, Error> {
    if has_proxy(agent) {
        return Ok(loopback_note(agent));
    }
    let pins = &run.spec.catalog;
    let mut idle = Vec::new();
    for pin in pins.iter().filter(|pin| pin.kind == CatalogKind::Policy) {
        let manifest = catalog::manifest_of(engine, pins, pin.kind, &pin.name)?;
        if let Some(CatalogSpec::Policy(definition)) = manifest.map(|manifest| manifest.spec)
            && definition.rules.egress.is_some()
        {
            idle.push(pin.name.clone());
        }
    }
    let note = format!(
        "the rules about hosts (egress) of the policy {} decide nothing in this run: they need \
         target: {{ type: process, sandbox: {{ network: gateway }} }}",
        idle.join(", ")
    );
    Ok((!idle.is_empty()).then_some(note))
}

/// Returns what to say about rules that open addresses of this machine: programs leave such addresses
/// out of a proxy.
fn loopback_note(agent: &Agent) -> Option<String> {
    let lists = agent.policy.as_ref()?.egress.as_ref()?;
    let all = lists.allow.iter().flatten().chain(&lists.ask).chain(&lists.deny);
    let is_own = |rule: &&PolicyRule| {
        let pattern = EgressPattern::parse(&rule.name).ok();
        pattern.is_some_and(|it| {
            it.host == "localhost" || it.address().is_some_and(|address| address.is_loopback())
        })
    };
    let names: Vec<&str> = all.filter(is_own).map(|rule| rule.name.as_str()).collect();
    let note = format!(
        "the rules about hosts (egress) {} are about this machine, and most programs reach such names \
         without a proxy (NO_PROXY), inside of their sandbox: these rules decide only about connections \
         for which a program asks the proxy all the same",
        names.join(", ")
    );
    (!names.is_empty()).then_some(note)
}
