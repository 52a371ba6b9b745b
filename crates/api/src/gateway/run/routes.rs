//! The routes about runs.

use super::{RunPage, RunQuery, RunRequest};
use crate::error_code::ErrorCode;
use crate::gateway::routes::{Answer, Area, Body, Header, Method, Route, Scope};
use crate::record::Record;

/// The caller's key for a request that creates something.
const IDEMPOTENCY_KEY: Header = Header {
    name: "Idempotency-Key",
    says: "The same key again gives the same run, not a second one.",
};
/// Where what was created is found.
const LOCATION: Header = Header { name: "Location", says: "The path of the run." };

/// What may be wrong with a run that somebody wants.
const REFUSED: &[ErrorCode] = &[
    ErrorCode::AgentNotFound,
    ErrorCode::AgentUnsupported,
    ErrorCode::InputInvalid,
    ErrorCode::PayloadTooLarge,
    ErrorCode::NameInvalid,
    ErrorCode::EnvInvalid,
    ErrorCode::BudgetInvalid,
    ErrorCode::SecretMissing,
    ErrorCode::SecretExposed,
    ErrorCode::SessionBusy,
    ErrorCode::IdempotencyConflict,
];

/// Routes about runs.
pub const AREA: Area = Area {
    name: "runs",
    says: "Runs: started, looked at, waited for, ended.",
    routes: &[
        Route::new("create_run", Method::Post, "/v1/runs", Scope::RunsWrite)
            .says("Starts a run in the background.")
            .headers(&[IDEMPOTENCY_KEY])
            .takes(Body::json::<RunRequest>())
            .answers(&[
                Answer::json::<Record>(202, "It is queued.").with(&[LOCATION]),
                Answer::json::<Record>(200, "The key was used for it before.").with(&[LOCATION]),
            ])
            .errors(REFUSED),
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
