//! Configs: text that agents are given by name.

use errand_model::catalog::CatalogKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::scalar::MediaType;

/// Text such as a style guide or settings, as the agent gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Config")]
pub struct ConfigDefinition {
    /// The text, which the brief of an agent holds.
    #[schemars(length(min = 1), extend("examples" = ["Write short sentences."]))]
    pub content: String,
    /// Media type of the text: `text/plain` if left out.
    #[serde(default = "plain_text")]
    #[schemars(with = "MediaType")]
    pub content_type: String,
}

fn plain_text() -> String {
    "text/plain".to_owned()
}

impl Definition for ConfigDefinition {
    const KIND: CatalogKind = CatalogKind::Config;
}
