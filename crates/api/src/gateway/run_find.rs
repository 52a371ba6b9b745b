//! Search for a run: by a whole id, any unique part of one, or a name.

use errand_model::RunId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::{Answer, Area, KeyScope, Method, Route};

/// Finding runs by what people call them.
pub const AREA: Area = Area {
    name: "find",
    says: "Finding runs by what people call them.",
    routes: &[Route::new("find_runs", Method::Get, "/v1/find-runs", KeyScope::RunsRead)
        .says("Finds the runs that a part of an id, or a name, may mean.")
        .query::<FindQuery>()
        .answers(&[Answer::json::<FoundRuns>(200, "At most six of them, newest first.")])],
};

/// Text that names a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindQuery {
    /// A whole id, a part of one, or a name.
    #[schemars(length(min = 1, max = 200))]
    pub text: String,
}

/// The runs that are meant, or may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundRuns {
    /// Newest first.
    pub runs: Vec<FoundRun>,
}

/// A run that may be meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundRun {
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Its name.
    pub name: Option<String>,
    /// True if it is not over.
    pub is_live: bool,
}
