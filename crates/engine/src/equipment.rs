//! Equipment of agents: everything that tier, services and model route of a run add to its agent.

use std::collections::{BTreeMap, BTreeSet};

use errand_agent::parcel::Parcel;
use errand_api::agent_file::{
    Agent, ContainerPort, PortProtocol, TargetKind, parse_cpu_millis, parse_memory_bytes,
};
use errand_api::catalog::{
    CatalogSpec, EnvironmentValue, ServiceDefinition, TierDefinition, Transport,
};
use errand_model::catalog::{CatalogKind, CatalogPin};
use errand_model::run::Run;

use crate::error::operation_error;
use crate::{Engine, catalog, parcels};

operation_error! {
    /// Error: an agent cannot be equipped.
    pub enum Error {
        /// A definition that the run pinned is missing or damaged.
        Catalog(catalog::Error),
        /// A parcel cannot be fetched.
        Parcels(parcels::Error),
    }
}

/// Secrets of an agent that services and its model route name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Equipment {
    /// Names of secrets by the variables that agents have them under.
    pub(crate) secret_variables: BTreeMap<String, String>,
    /// Secrets of the agent that it does not have under their own names: those that it has under these
    /// variables only, and keys of its model route.
    pub(crate) hidden: BTreeSet<String>,
}

/// Adds to an agent what the tier, the services and the model route among `pins` say. The agent's own settings win,
/// and of two services the later one.
///
/// # Errors
///
/// If a manifest is missing or damaged.
pub(crate) fn equip(
    engine: &Engine,
    agent: &mut Agent,
    pins: &[CatalogPin],
) -> Result<Equipment, Error> {
    let mut variables = BTreeMap::new();
    let mut keys = BTreeSet::new();
    let wanted = [CatalogKind::Tier, CatalogKind::Service, CatalogKind::ModelRoute];
    for pin in pins.iter().filter(|pin| wanted.contains(&pin.kind)) {
        let manifest = catalog::manifest_of(engine, pins, pin.kind, &pin.name)?;
        match manifest.map(|manifest| manifest.spec) {
            Some(CatalogSpec::Tier(tier)) => add_tier(agent, &tier),
            Some(CatalogSpec::Service(service)) => {
                add_ports(agent, &service);
                variables.extend(service.env);
            }
            Some(CatalogSpec::ModelRoute(route)) => keys.extend(route.keys().cloned()),
            Some(
                CatalogSpec::Skill(_)
                | CatalogSpec::Config(_)
                | CatalogSpec::Dispatcher(_)
                | CatalogSpec::PriceTable(_)
                | CatalogSpec::Policy(_),
            )
            | None => {}
        }
    }
    let ports: Vec<u16> = agent.dependencies.iter().filter_map(|it| it.port).collect();
    for port in ports {
        add_port(agent, port, PortProtocol::Tcp);
    }
    let mut equipment = add_variables(agent, variables);
    for key in keys {
        if !agent.secrets.contains(&key) {
            agent.secrets.push(key.clone());
        }
        equipment.hidden.insert(key);
    }
    Ok(equipment)
}

/// Opens the parcel of a run's agent, and equips the agent.
///
/// # Errors
///
/// If the parcel or a manifest is missing or damaged.
pub(crate) fn open(engine: &Engine, run: &Run) -> Result<Parcel, Error> {
    let mut parcel = parcels::open(engine, &run.spec.agent.digest)?;
    equip(engine, &mut parcel.agent, &run.spec.catalog)?;
    Ok(parcel)
}

fn add_tier(agent: &mut Agent, tier: &TierDefinition) {
    for secret in &tier.secrets {
        if !agent.secrets.contains(secret) {
            agent.secrets.push(secret.clone());
        }
    }
    let Some(defaults) = &tier.resources else { return };
    let own = &mut agent.resources;
    let cpu = || parse_cpu_millis(defaults.cpu.as_deref()?);
    let memory = || parse_memory_bytes(defaults.memory.as_deref()?);
    own.cpu_millis = own.cpu_millis.or_else(cpu);
    own.memory_bytes = own.memory_bytes.or_else(memory);
    if own.gpu == 0 {
        own.gpu = defaults.gpu.unwrap_or(0);
    }
}

fn add_ports(agent: &mut Agent, service: &ServiceDefinition) {
    for port in &service.ports {
        let protocol = match port.protocol {
            Transport::Tcp => PortProtocol::Tcp,
            Transport::Udp => PortProtocol::Udp,
        };
        add_port(agent, port.container_port, protocol);
    }
}

/// Publishes a port of the agent's container. Another target publishes none.
fn add_port(agent: &mut Agent, port: u16, protocol: PortProtocol) {
    match &mut agent.target {
        TargetKind::Container(place) => {
            let port = ContainerPort { container_port: port.into(), protocol };
            if !place.ports.contains(&port) {
                place.ports.push(port);
            }
        }
        TargetKind::Process(_) | TargetKind::Kubernetes(_) => {}
    }
}

fn add_variables(agent: &mut Agent, variables: BTreeMap<String, EnvironmentValue>) -> Equipment {
    let mut equipment = Equipment::default();
    for (name, value) in variables {
        if agent.env.contains_key(&name) {
            continue;
        }
        match value {
            EnvironmentValue::Text(text) => drop(agent.env.insert(name, text)),
            EnvironmentValue::Secret { secret } => {
                equipment.secret_variables.insert(name, secret);
            }
        }
    }
    for secret in equipment.secret_variables.values() {
        if !agent.secrets.contains(secret) {
            agent.secrets.push(secret.clone());
            equipment.hidden.insert(secret.clone());
        }
    }
    equipment
}
