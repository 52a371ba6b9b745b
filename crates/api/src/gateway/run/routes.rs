//! The routes about runs.

use super::{RunPage, RunQuery};
use crate::error_code::ErrorCode;
use crate::gateway::routes::{Answer, Area, Method, Route, Scope};
use crate::record::Record;

/// Routes about runs.
pub const AREA: Area = Area {
    name: "runs",
    says: "Runs: started, looked at, waited for, ended.",
    routes: &[
        Route::new("list_runs", Method::Get, "/v1/runs", Scope::RunsRead)
            .says("Lists runs, newest first.")
            .query::<RunQuery>()
            .answers(&[Answer::json::<RunPage>(200, "A page of them.")])
            .errors(&[ErrorCode::LabelInvalid]),
        Route::new("get_run", Method::Get, "/v1/runs/{run_id}", Scope::RunsRead)
            .says("Everything that is known of a run.")
            .answers(&[Answer::json::<Record>(200, "Its record.")])
            .errors(&[ErrorCode::RunNotFound]),
    ],
};
