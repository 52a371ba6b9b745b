//! The routes about runs.

use super::{
    CancelQuery, CancelRequest, EventPage, EventQuery, ExportQuery, FollowQuery, ForkRequest,
    GraphQuery, MessageQuery, RemoveQuery, ReplayRequest, RestartRequest, ResumeRequest,
    RetryRequest, RunPage, RunQuery, RunRequest, SetQuery, StepPage, TraceQuery, WaitQuery,
    WakeRequest,
};
use crate::error_code::ErrorCode;
use crate::gateway::route::{ANY_BYTES, Answer, Area, Body, Header, KeyScope, Method, Route};
use crate::graph::Graph;
use crate::message::MessagePage;
use crate::record::RunRecord;
use crate::story::Story;
use crate::trace::Trace;
use crate::verification::Verification;

/// The caller's key for a request that creates something.
const IDEMPOTENCY_KEY: Header = Header {
    name: "Idempotency-Key",
    says: "The same key again gives the same run, not a second one.",
};
/// Header with the path of the created run.
const LOCATION: Header = Header { name: "Location", says: "The path of the run." };

/// Errors of a request to start a run.
const REFUSED: &[ErrorCode] = &[
    ErrorCode::AgentNotFound,
    ErrorCode::AgentUnsupported,
    ErrorCode::OnlyLocal,
    ErrorCode::InputInvalid,
    ErrorCode::PayloadTooLarge,
    ErrorCode::NameInvalid,
    ErrorCode::EnvInvalid,
    ErrorCode::BudgetInvalid,
    ErrorCode::SecretMissing,
    ErrorCode::SecretExposed,
    ErrorCode::SessionBusy,
    ErrorCode::IdempotencyConflict,
    ErrorCode::CallbackRefused,
];

/// Errors of a request to repeat a run.
const NOT_AGAIN: &[ErrorCode] = &[
    ErrorCode::RunNotFound,
    ErrorCode::RunLive,
    ErrorCode::RunNotRetryable,
    ErrorCode::ReplayEffects,
    ErrorCode::ReplayRefused,
    ErrorCode::StepNotFound,
    ErrorCode::ParcelNotFound,
    ErrorCode::InputInvalid,
    ErrorCode::AgentNotFound,
];

/// Headers of a client that resumes a stream.
const RESUMES: &[Header] = &[Header {
    name: "Last-Event-ID",
    says: "In a stream: the id of the last event that the client has; the stream goes on after it.",
}];

/// Routes about runs.
pub const AREA: Area = Area {
    name: "runs",
    says: "Runs: started, looked at, waited for, ended.",
    routes: &[
        Route::new("create_run", Method::Post, "/v1/runs", KeyScope::RunsWrite)
            .says("Starts a run in the background.")
            .headers(&[IDEMPOTENCY_KEY])
            .takes(Body::json::<RunRequest>())
            .answers(&[
                Answer::json::<RunRecord>(202, "It is queued.").with(&[LOCATION]),
                Answer::json::<RunRecord>(200, "The key was used for it before.").with(&[LOCATION]),
            ])
            .errors(REFUSED),
        Route::new("run_and_wait", Method::Post, "/v1/runs/wait", KeyScope::RunsWrite)
            .says("Starts a run and answers once it is over.")
            .headers(&[IDEMPOTENCY_KEY])
            .query::<WaitQuery>()
            .takes(Body::json::<RunRequest>())
            .answers(&[
                Answer::json::<RunRecord>(200, "It is over.").with(&[LOCATION]),
                Answer::json::<RunRecord>(202, "Time is up, and it goes on.").with(&[LOCATION]),
            ])
            .errors(REFUSED),
        Route::new("run_and_stream", Method::Post, "/v1/runs/stream", KeyScope::RunsWrite)
            .says("Starts a run and streams what happens, from its first event to its end.")
            .headers(&[IDEMPOTENCY_KEY])
            .query::<FollowQuery>()
            .takes(Body::json::<RunRequest>())
            .answers(&[
                Answer::bytes(200, "text/event-stream", "The stream.").with(&[LOCATION])
            ])
            .errors(REFUSED),
        Route::new("list_runs", Method::Get, "/v1/runs", KeyScope::RunsRead)
            .says("Lists runs, newest first.")
            .query::<RunQuery>()
            .answers(&[Answer::json::<RunPage>(200, "A page of them.")])
            .errors(&[ErrorCode::LabelInvalid]),
        Route::new("get_run", Method::Get, "/v1/runs/{run_id}", KeyScope::RunsRead)
            .says("Everything that is known of a run.")
            .answers(&[Answer::json::<RunRecord>(200, "Its record.")])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new("wait_for_run", Method::Get, "/v1/runs/{run_id}/wait", KeyScope::RunsRead)
            .says("Answers once a run is over.")
            .query::<WaitQuery>()
            .answers(&[
                Answer::json::<RunRecord>(200, "It is over."),
                Answer::json::<RunRecord>(202, "Time is up, and it goes on."),
            ])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new("list_events", Method::Get, "/v1/runs/{run_id}/events", KeyScope::RunsRead)
            .says("The journal of a run: a page, or a stream that ends with the run.")
            .query::<EventQuery>()
            .headers(RESUMES)
            .answers(&[
                Answer::json::<EventPage>(200, "A page of it."),
                Answer::bytes(200, "text/event-stream", "A stream, where that is accepted."),
            ])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new("follow_runs", Method::Get, "/v1/events", KeyScope::RunsRead)
            .says("A stream of the events of all runs of a set, live ones and those that come.")
            .query::<SetQuery>()
            .headers(RESUMES)
            .answers(&[Answer::bytes(200, "text/event-stream", "The stream.")])
            .errors(&[ErrorCode::AcceptUnsupported, ErrorCode::LabelInvalid]),
        Route::new("list_steps", Method::Get, "/v1/runs/{run_id}/steps", KeyScope::RunsRead)
            .says("The steps of a run, by key.")
            .answers(&[Answer::json::<StepPage>(200, "All of them.")])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new("list_messages", Method::Get, "/v1/runs/{run_id}/messages", KeyScope::RunsRead)
            .says("What the agents of a coordinated run said to each other, in order.")
            .query::<MessageQuery>()
            .answers(&[Answer::json::<MessagePage>(200, "A page of them.")])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new("get_graph", Method::Get, "/v1/runs/{run_id}/graph", KeyScope::RunsRead)
            .says("The agents of a coordinated run, and the messages between them, as a graph.")
            .query::<GraphQuery>()
            .answers(&[
                Answer::json::<Graph>(200, "The graph."),
                Answer::bytes(200, "text/vnd.graphviz", "`dot`."),
                Answer::bytes(200, "text/vnd.mermaid", "`mermaid`."),
                Answer::bytes(200, "image/svg+xml", "`svg`."),
            ])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RunNotCoordinated]),
        Route::new("get_trace", Method::Get, "/v1/runs/{run_id}/trace", KeyScope::RunsRead)
            .says("What a run did with its time, tokens and money, as a tree of spans.")
            .query::<TraceQuery>()
            .answers(&[Answer::json::<Trace>(200, "As `errand trace --json` prints it.")])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new("verify_run", Method::Get, "/v1/runs/{run_id}/verify", KeyScope::RunsRead)
            .says("Whether the journal of a run is what was written.")
            .answers(&[Answer::json::<Verification>(200, "Good or bad.")])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new("export_run", Method::Get, "/v1/runs/{run_id}/export", KeyScope::RunsRead)
            .says("A run with everything that belongs to it, as `errand export` writes it.")
            .query::<ExportQuery>()
            .answers(&[
                Answer::bytes(200, "application/x-tar", "The archive."),
                Answer::bytes(200, ANY_BYTES, "The same, where only that is accepted."),
            ])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RunLive, ErrorCode::ChildRemoved]),
        Route::new("cancel_run", Method::Post, "/v1/runs/{run_id}/cancel", KeyScope::RunsWrite)
            .says("Ends a run.")
            .query::<CancelQuery>()
            .takes(Body::maybe_json::<CancelRequest>())
            .answers(&[
                Answer::json::<RunRecord>(202, "It is asked to end."),
                Answer::json::<RunRecord>(200, "It is over, and nothing of it lives."),
            ])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RunElsewhere]),
        Route::new("pause_run", Method::Post, "/v1/runs/{run_id}/pause", KeyScope::RunsWrite)
            .says("Freezes everything of a run; its time stands still.")
            .answers(&[Answer::json::<RunRecord>(200, "Nothing of it executes anything.")])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RunNotLive, ErrorCode::RunLive]),
        Route::new("resume_run", Method::Post, "/v1/runs/{run_id}/resume", KeyScope::RunsWrite)
            .says("Lets a paused run go on, or allows a run more.")
            .takes(Body::maybe_json::<ResumeRequest>())
            .answers(&[Answer::json::<RunRecord>(200, "It goes on.")])
            .errors(&[
                ErrorCode::RunNotFound,
                ErrorCode::RunNotLive,
                ErrorCode::RunNotPaused,
                ErrorCode::BudgetInvalid,
                ErrorCode::BudgetExceeded,
            ]),
        Route::new("restart_run", Method::Post, "/v1/runs/{run_id}/restart", KeyScope::RunsWrite)
            .says("Begins a run anew: another attempt while it lives, a new run once it is over.")
            .takes(Body::maybe_json::<RestartRequest>())
            .answers(&[
                Answer::json::<RunRecord>(200, "It has another attempt, or soon will."),
                Answer::json::<RunRecord>(202, "A new run is queued.").with(&[LOCATION]),
            ])
            .errors(NOT_AGAIN),
        Route::new("wake_run", Method::Post, "/v1/runs/{run_id}/wake", KeyScope::RunsWrite)
            .says("Wakes a service now. The wake is a run of its own.")
            .takes(Body::maybe_json::<WakeRequest>())
            .answers(&[Answer::json::<RunRecord>(202, "The wake's run.").with(&[LOCATION])])
            .errors(&[
                ErrorCode::RunNotFound,
                ErrorCode::RunNotLive,
                ErrorCode::WakeRefused,
                ErrorCode::InputInvalid,
                ErrorCode::PayloadTooLarge,
                ErrorCode::SecretExposed,
            ]),
        Route::new("retry_run", Method::Post, "/v1/runs/{run_id}/retry", KeyScope::RunsWrite)
            .says("Does a run that went wrong again from where it stopped, as a new run.")
            .takes(Body::maybe_json::<RetryRequest>())
            .answers(&[Answer::json::<RunRecord>(202, "The new run is queued.").with(&[LOCATION])])
            .errors(NOT_AGAIN),
        Route::new("fork_run", Method::Post, "/v1/runs/{run_id}/fork", KeyScope::RunsWrite)
            .says("Does a run again from one of its steps on, as a new run.")
            .takes(Body::json::<ForkRequest>())
            .answers(&[Answer::json::<RunRecord>(202, "The new run is queued.").with(&[LOCATION])])
            .errors(NOT_AGAIN),
        Route::new("replay_run", Method::Post, "/v1/runs/{run_id}/replay", KeyScope::RunsWrite)
            .says("Tells what a run did, proves that its agent still does the same, or does it again.")
            .takes(Body::maybe_json::<ReplayRequest>())
            .answers(&[
                Answer::json::<Story>(200, "`inspect`: what it did."),
                Answer::json::<RunRecord>(202, "`strict` or `live`: the new run is queued.")
                    .with(&[LOCATION]),
            ])
            .errors(NOT_AGAIN),
        Route::new("delete_run", Method::Delete, "/v1/runs/{run_id}", KeyScope::RunsWrite)
            .says("Removes a run that is over, with everything that belongs to it.")
            .query::<RemoveQuery>()
            .answers(&[Answer::empty(204, "It is gone.")])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RunLive]),
    ],
};
