//! The routes about runs.

use super::{EventPage, EventQuery, RunPage, RunQuery, SetQuery};
use crate::error_code::ErrorCode;
use crate::gateway::routes::{Answer, Area, Header, Method, Route, Scope};
use crate::record::Record;

/// What a client that comes again says.
const RESUMES: &[Header] = &[Header {
    name: "Last-Event-ID",
    says: "In a stream: the id of the last event that the client has; the stream goes on after it.",
}];

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
        Route::new("list_events", Method::Get, "/v1/runs/{run_id}/events", Scope::RunsRead)
            .says("The journal of a run: a page, or a stream that ends with the run.")
            .query::<EventQuery>()
            .headers(RESUMES)
            .answers(&[
                Answer::json::<EventPage>(200, "A page of it."),
                Answer::bytes(200, "text/event-stream", "A stream, where that is accepted."),
            ])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new("follow_runs", Method::Get, "/v1/events", Scope::RunsRead)
            .says("A stream of the events of all runs of a set, live ones and those that come.")
            .query::<SetQuery>()
            .headers(RESUMES)
            .answers(&[Answer::bytes(200, "text/event-stream", "The stream.")])
            .errors(&[ErrorCode::AcceptUnsupported, ErrorCode::LabelInvalid]),
    ],
};
