//! Settings of the replay of an agent's runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scalar::MemberPointer;

/// Settings of the replay of an agent's runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Replay")]
pub struct AgentReplay {
    /// Members of requests to models that change although a request asks for the same: JSON pointers,
    /// in which a segment `*` stands for every member or item. The digest by which a recorded answer
    /// is found leaves them out, besides those that errand knows of each format.
    #[schemars(with = "Vec<MemberPointer>", extend("uniqueItems" = true), length(max = 64))]
    pub ignore: Vec<String>,
}

impl AgentReplay {
    /// Returns true if nothing is set.
    pub const fn is_empty(&self) -> bool {
        self.ignore.is_empty()
    }
}
