//! Names of the secrets that an agent may need, with those of agents that it names.

use std::collections::BTreeSet;

use errand_agent::parcel::{self, Parcel};
use errand_api::agent_file::Agent;
use errand_api::catalog::{CatalogSpec, DispatcherDefinition};
use errand_model::Digest;
use errand_model::catalog::CatalogKind;
use errand_model::coordination::DEPTH_LIMIT;
use errand_model::run::Run;

use crate::{Engine, catalog};

/// Returns the names of the secrets of an agent, and of agents that it starts or may hand over to.
pub(crate) fn of_parcel(engine: &Engine, parcel: &Parcel) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = parcel.agent.secrets.iter().cloned().collect();
    for agent in parcel.agent.named_agents().filter_map(|agent| agent.digest.as_ref()) {
        gather(engine, agent, &mut names);
    }
    names
}

/// Adds the names of the secrets of an agent, and of agents that it starts or may hand over to.
pub(crate) fn gather(engine: &Engine, digest: &Digest, secrets: &mut BTreeSet<String>) {
    gather_to(DEPTH_LIMIT, engine, digest, secrets);
}

/// Adds the names as [`gather`], for an agent that was opened already.
pub(crate) fn gather_of(engine: &Engine, agent: &Agent, secrets: &mut BTreeSet<String>) {
    gather_from(DEPTH_LIMIT, engine, agent, secrets);
}

fn gather_to(depth: u32, engine: &Engine, digest: &Digest, secrets: &mut BTreeSet<String>) {
    // A missing parcel is reported by the attempt that needs it.
    let Ok(parcel) = parcel::open(&engine.registry().parcels(), digest) else { return };
    gather_from(depth, engine, &parcel.agent, secrets);
}

fn gather_from(depth: u32, engine: &Engine, agent: &Agent, secrets: &mut BTreeSet<String>) {
    secrets.extend(agent.secrets.iter().cloned());
    if depth > 0 {
        for agent in agent.named_agents().filter_map(|agent| agent.digest.as_ref()) {
            gather_to(depth - 1, engine, agent, secrets);
        }
    }
}

/// Adds the names of the secrets with which the run's task gets to a dispatcher.
pub(crate) fn gather_of_dispatchers(engine: &Engine, run: &Run, secrets: &mut BTreeSet<String>) {
    let pins = &run.spec.catalog;
    for pin in pins.iter().filter(|pin| pin.kind == CatalogKind::Dispatcher) {
        // A definition that is missing is reported by the attempt that needs it.
        let Ok(Some(manifest)) = catalog::manifest_of(engine, pins, pin.kind, &pin.name) else {
            continue;
        };
        if let CatalogSpec::Dispatcher(DispatcherDefinition { key, bus, .. }) = manifest.spec {
            secrets.extend(key);
            secrets.extend(bus.and_then(|bus| bus.password));
        }
    }
}

/// Returns names of secrets as a phrase: `secret A`, `secrets A, B`.
pub(crate) fn spoken(names: &[String]) -> String {
    let noun = if names.len() == 1 { "secret" } else { "secrets" };
    format!("{noun} {}", names.join(", "))
}
