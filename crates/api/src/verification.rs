//! Whether a run is what was written: what `errand verify --json` prints.

use errand_model::RunId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the shape of [`Verification`].
pub const VERIFICATION_SCHEMA: u32 = 1;

/// What was verified, and all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// [`VERIFICATION_SCHEMA`].
    pub schema: u32,
    /// What was named: a run or a file.
    #[serde(default)]
    pub source: String,
    /// Which run it is.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// How many events hold, from the first on.
    pub events: u64,
    /// Whether the run is over: nothing can be cut off at the end unnoticed.
    pub sealed: bool,
    /// The hash of the last event that holds.
    pub hash: String,
    /// How many runs that it started were verified with it: those of an export.
    #[serde(default, skip_serializing_if = "is_none")]
    pub children: u64,
    /// Whether all is what was written.
    pub unbroken: bool,
    /// What is not.
    pub findings: Vec<VerificationFinding>,
}

/// One thing that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerificationFinding {
    /// `registry`, `file` or `export`.
    pub place: String,
    /// Which file, or what in the export.
    #[serde(default)]
    pub path: Option<String>,
    /// The number of the event that it is about.
    #[serde(default)]
    pub event: Option<u64>,
    /// A word for programs.
    pub what: String,
    /// One line for people.
    pub message: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
const fn is_none(children: &u64) -> bool {
    *children == 0
}
