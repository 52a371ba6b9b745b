//! Removing runs that are over.

use errand_model::RunId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::{Answer, Area, Body, KeyScope, Method, Route};

/// Removing runs that are over.
pub const AREA: Area = Area {
    name: "prune",
    says: "Removing runs that are over.",
    routes: &[Route::new("prune_runs", Method::Post, "/v1/prune", KeyScope::RunsWrite)
        .says("Removes all runs that are over, but for dead letters that nobody settled.")
        .takes(Body::maybe_json::<PruneRuns>())
        .answers(&[Answer::json::<Pruned>(200, "They are gone.")])],
};

/// Selection of runs to remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PruneRuns {
    /// Only runs that ended before: epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_before_ms: Option<i64>,
    /// Only say which would be removed.
    #[serde(default)]
    pub dry_run: bool,
}

/// Runs that were removed, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pruned {
    /// Removed runs.
    #[schemars(with = "Vec<String>")]
    pub run_ids: Vec<RunId>,
    /// Number of dead letters that are kept, since they are neither redriven nor discarded.
    pub dead_letters: usize,
}
