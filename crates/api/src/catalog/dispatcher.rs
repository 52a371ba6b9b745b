//! Dispatchers: places near a runtime that carry tasks out.

use std::collections::BTreeMap;

use errand_model::catalog::CatalogKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::scalar::{BusQueue, BusUrl};
use crate::agent_file::at::At;
use crate::agent_file::reader::Reader;
use crate::agent_file::scalar::{HttpUrl, Labels, SecretName};

/// A place near a runtime that carries tasks out, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Dispatcher")]
pub struct DispatcherDefinition {
    /// Address of the dispatcher's API.
    #[schemars(with = "HttpUrl", extend("examples" = ["https://dispatcher.example"]))]
    pub url: String,
    /// Way of a task to the dispatcher: `direct` if left out.
    #[serde(default)]
    pub mode: DispatchMode,
    /// The bus, for the mode `bus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<BusAddress>,
    /// Name of the secret that is the dispatcher's API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretName")]
    pub key: Option<String>,
    /// Targets that the dispatcher has: all if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub targets: Vec<TargetWord>,
    /// Labels by which agents choose a dispatcher.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Labels")]
    pub labels: BTreeMap<String, String>,
}

/// Way of a task to its dispatcher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DispatchMode {
    /// A request to the dispatcher's API.
    #[default]
    Direct,
    /// A message on a bus.
    Bus,
}

/// Address of a bus: one of `redis` and `sqs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BusAddress {
    /// A Redis server: `redis://` or `rediss://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BusUrl")]
    pub redis: Option<String>,
    /// User of the Redis server: the default one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// Name of the secret that is the password of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretName")]
    pub password: Option<String>,
    /// A queue of SQS: `sqs://host/account/queue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BusQueue")]
    pub sqs: Option<String>,
    /// Stream of a Redis server: `errand:tasks` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub stream: Option<String>,
}

/// A target of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetWord {
    /// A process of the dispatcher's machine.
    Process,
    /// A container.
    Container,
    /// A Job of Kubernetes.
    Kubernetes,
}

impl Definition for DispatcherDefinition {
    const KIND: CatalogKind = CatalogKind::Dispatcher;

    fn check(&self, reader: &mut Reader, spec: &At<'_>) {
        match (self.mode, &self.bus) {
            (DispatchMode::Bus, None) => {
                let hint = "write bus: { redis: redis://host:6379 }";
                reader.report_hint(spec, "the mode bus needs the address of a bus", hint);
            }
            (DispatchMode::Direct, Some(_)) => {
                if let Some(at) = spec.field("bus") {
                    let message = "a bus is for the mode bus";
                    reader.report_hint(&at, message, "add mode: bus, or remove the bus");
                }
            }
            (DispatchMode::Direct, None) => {}
            (DispatchMode::Bus, Some(bus)) => {
                let Some(at) = spec.field("bus") else { return };
                if self.key.is_none() {
                    let message = "the mode bus needs the dispatcher's API key, which orders are \
                                   sealed with";
                    reader.report_hint(spec, message, "write key: SECRET, the name of a secret");
                }
                if bus.redis.is_some() == bus.sqs.is_some() {
                    let message = "a bus has one of redis and sqs";
                    reader.report_hint(&at, message, "write redis: redis://host:6379");
                }
                for name in ["stream", "user", "password"] {
                    if bus.sqs.is_some()
                        && let Some(field) = at.field(name)
                    {
                        reader.report(&field, format!("a queue of SQS has no {name}"));
                    }
                }
            }
        }
    }
}
