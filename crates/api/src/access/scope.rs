//! Scopes of a key.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A part of what can be done to a server. `Display` is the word that people write.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[schemars(rename = "Scope")]
pub enum KeyScope {
    /// To look: runs, events, logs, artifacts, sessions, usage, agents, schedules, workers.
    #[serde(rename = "runs:read")]
    RunsRead,
    /// To start runs and to do something to them.
    #[serde(rename = "runs:write")]
    RunsWrite,
    /// To answer what agents ask people.
    #[serde(rename = "approvals:decide")]
    ApprovalsDecide,
    /// To apply, read and delete definitions of the catalog.
    #[serde(rename = "catalog")]
    Catalog,
    /// To manage the sources of runs: agents, schedules, hooks, keys; and to read the audit log.
    /// `admin` does not include the other scopes.
    #[serde(rename = "admin")]
    Admin,
}

impl KeyScope {
    /// Every scope, in the order in which they are listed.
    pub const ALL: &[Self] =
        &[Self::RunsRead, Self::RunsWrite, Self::ApprovalsDecide, Self::Catalog, Self::Admin];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunsRead => "runs:read",
            Self::RunsWrite => "runs:write",
            Self::ApprovalsDecide => "approvals:decide",
            Self::Catalog => "catalog",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyScope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|scope| scope.as_str() == text);
        known.copied().ok_or_else(|| UnknownScope { text: text.to_owned() })
    }
}

/// The text names no scope.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is no scope: runs:read, runs:write, approvals:decide, catalog, admin")]
pub struct UnknownScope {
    /// Text as given.
    pub text: String,
}
