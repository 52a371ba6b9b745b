//! Verification of a run: the output of `errand verify --json`.

use errand_model::RunId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the shape of [`Verification`].
pub const VERIFICATION_SCHEMA: u32 = 1;

/// Verified run, and all findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// [`VERIFICATION_SCHEMA`].
    pub schema: u32,
    /// Name as given: a run or a file.
    #[serde(default)]
    pub source: String,
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Number of valid events, from the first on.
    pub events: u64,
    /// True if the run is over: a cut at the end would be noticed.
    pub sealed: bool,
    /// The hash of the last event that holds.
    pub hash: String,
    /// Number of verified runs that it started: those of an export.
    #[serde(default, skip_serializing_if = "is_none")]
    pub children: u64,
    /// True if there are no findings.
    pub unbroken: bool,
    /// Findings.
    pub findings: Vec<VerificationFinding>,
}

/// A part that was changed after it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerificationFinding {
    /// `registry`, `file` or `export`.
    pub place: String,
    /// File, or entry of the export.
    #[serde(default)]
    pub path: Option<String>,
    /// The number of the event that it is about.
    #[serde(default)]
    pub event: Option<u64>,
    /// A word for programs.
    pub what: String,
    /// Description in one line.
    pub message: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
const fn is_none(children: &u64) -> bool {
    *children == 0
}
