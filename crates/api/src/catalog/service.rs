//! Services: infrastructure that agents need.

use std::collections::BTreeMap;

use errand_model::catalog::CatalogKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::scalar::{CheckAddress, ServiceEnvironment, ServiceUrl};
use crate::agent_file::at::At;
use crate::agent_file::reader::Reader;
use crate::agent_file::scalar::{CommandLine, DurationWord};

/// Infrastructure that agents need: its address, its health check, and the environment that agents
/// get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Service")]
pub struct ServiceDefinition {
    /// Address of the service: a URL of any scheme, without user and password.
    #[schemars(with = "ServiceUrl")]
    pub url: String,
    /// Health check: none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// Variables for agents: a value, or `{secret: NAME}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "ServiceEnvironment")]
    pub env: BTreeMap<String, EnvironmentValue>,
    /// Ports of the agent that the service needs to reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub ports: Vec<ServicePort>,
}

/// Check of a service: one of `http`, `tcp` and `command`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// A URL that answers with a status from 200 to 399, or a path below the service's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CheckAddress")]
    pub http: Option<String>,
    /// A host and a port that accept a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^.+:[0-9]{1,5}$"))]
    pub tcp: Option<String>,
    /// A program that exits with 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "CommandLine")]
    pub command: Vec<String>,
    /// Time for which a result counts: `10s` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DurationWord")]
    pub interval: Option<String>,
    /// Time limit of one check: `5s` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DurationWord")]
    pub timeout: Option<String>,
}

/// Value of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EnvironmentValue {
    /// The value.
    Text(String),
    /// The value of a secret.
    Secret {
        /// Name of the secret.
        secret: String,
    },
}

/// A port of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicePort {
    /// The port in the agent's container.
    #[schemars(range(min = 1, max = 65535), extend("examples" = [6080]))]
    pub container_port: u16,
    /// Protocol of the port: `tcp` if left out.
    #[serde(default)]
    pub protocol: Transport,
}

/// Protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Definition for ServiceDefinition {
    const KIND: CatalogKind = CatalogKind::Service;

    fn check(&self, reader: &mut Reader, spec: &At<'_>) {
        let Some(health) = &self.health else { return };
        let Some(at) = spec.field("health") else { return };
        let given = [health.http.is_some(), health.tcp.is_some(), !health.command.is_empty()];
        if given.iter().filter(|is_given| **is_given).count() != 1 {
            let message = "a health check has one of http, tcp and command";
            reader.report_hint(&at, message, "write http: /health, or tcp: host:6379");
        }
        let is_path = health.http.as_ref().is_some_and(|http| http.starts_with('/'));
        if is_path && !self.url.starts_with("http") {
            let message = "a path of a health check needs a service with an HTTP address";
            reader.report_hint(&at, message, "write a whole URL, or tcp: host:port");
        }
    }
}
