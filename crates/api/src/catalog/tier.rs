//! Tiers: defaults of a class of agents.

use errand_model::catalog::CatalogKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::{Definition, DefinitionName};
use super::scalar::{CpuWord, MemoryWord, ServiceName};
use crate::agent_file::scalar::{SecretName, Slug};

/// Defaults of a class of agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Tier")]
pub struct TierDefinition {
    /// Services that every agent of the tier needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<ServiceName>", extend("uniqueItems" = true))]
    pub services: Vec<String>,
    /// Resources of agents that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<TierResources>,
    /// Names of secrets that every agent of the tier gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<SecretName>", extend("uniqueItems" = true))]
    pub secrets: Vec<String>,
    /// Names of tools that agents of the tier may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Slug>", extend("uniqueItems" = true))]
    pub tools: Vec<String>,
}

/// Resources of agents that name none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TierResources {
    /// Cores, or thousandths of one: `2`, `0.5`, `500m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CpuWord")]
    pub cpu: Option<String>,
    /// Memory, such as `2Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MemoryWord")]
    pub memory: Option<String>,
    /// Whole GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1024))]
    pub gpu: Option<u32>,
}

impl Definition for TierDefinition {
    const KIND: CatalogKind = CatalogKind::Tier;

    fn references(&self) -> Vec<DefinitionName> {
        self.services.iter().map(|name| (CatalogKind::Service, name.clone())).collect()
    }
}
