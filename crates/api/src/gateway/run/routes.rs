//! The routes about runs, and the requests of actions on a run.

use errand_model::run::{CallerCommand, Pause};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    EventPage, EventQuery, ExportQuery, FollowQuery, GraphQuery, MessageQuery, RunBudgets, RunPage,
    RunQuery, RunRequest, SetQuery, StepPage, TraceQuery, WaitQuery,
};
use crate::brief::BriefPage;
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
    says: "The idempotency key: a repeated request gives the same run.",
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
    ErrorCode::BriefAssemblyFailed,
    ErrorCode::BriefTooLarge,
    ErrorCode::BlobsKeyInvalid,
    ErrorCode::BlobsAccessDenied,
    ErrorCode::BlobsBucketMissing,
    ErrorCode::BlobsFolderMissing,
    ErrorCode::BlobsUnreachable,
    ErrorCode::BlobsUploadCut,
    ErrorCode::DependencyMissing,
    ErrorCode::DependencyUnhealthy,
    ErrorCode::ModelRouteMismatch,
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
                Answer::json::<RunRecord>(202, "The run is queued.").with(&[LOCATION]),
                Answer::json::<RunRecord>(200, "The key was used for this run before.")
                    .with(&[LOCATION]),
            ])
            .errors(REFUSED),
        Route::new("run_and_wait", Method::Post, "/v1/runs/wait", KeyScope::RunsWrite)
            .says("Starts a run and answers once it is over.")
            .headers(&[IDEMPOTENCY_KEY])
            .query::<WaitQuery>()
            .takes(Body::json::<RunRequest>())
            .answers(&[
                Answer::json::<RunRecord>(200, "The run is over.").with(&[LOCATION]),
                Answer::json::<RunRecord>(202, "The timeout has passed; the run goes on.")
                    .with(&[LOCATION]),
            ])
            .errors(REFUSED),
        Route::new("run_and_stream", Method::Post, "/v1/runs/stream", KeyScope::RunsWrite)
            .says("Starts a run and streams what happens, from its first event to its end.")
            .headers(&[IDEMPOTENCY_KEY])
            .query::<FollowQuery>()
            .takes(Body::json::<RunRequest>())
            .answers(&[Answer::bytes(200, "text/event-stream", "The stream.").with(&[LOCATION])])
            .errors(REFUSED),
        Route::new("list_runs", Method::Get, "/v1/runs", KeyScope::RunsRead)
            .says("Lists runs, newest first.")
            .query::<RunQuery>()
            .answers(&[Answer::json::<RunPage>(200, "A page of them.")])
            .errors(&[ErrorCode::LabelInvalid]),
        Route::new("get_run", Method::Get, "/v1/runs/{run_id}", KeyScope::RunsRead)
            .says("The record of a run.")
            .answers(&[Answer::json::<RunRecord>(200, "Its record.")])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new("wait_for_run", Method::Get, "/v1/runs/{run_id}/wait", KeyScope::RunsRead)
            .says("Answers once a run is over.")
            .query::<WaitQuery>()
            .answers(&[
                Answer::json::<RunRecord>(200, "The run is over."),
                Answer::json::<RunRecord>(202, "The timeout has passed; the run goes on."),
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
            .says("The messages between the agents of a coordinated run, in order.")
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
        Route::new("get_brief", Method::Get, "/v1/runs/{run_id}/brief", KeyScope::RunsRead)
            .says("Returns the brief of a run: everything that its agent was told at boot.")
            .answers(&[Answer::json::<BriefPage>(200, "As `errand brief --json` prints it.")])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::ParcelNotFound, ErrorCode::BriefDamaged]),
        Route::new("get_trace", Method::Get, "/v1/runs/{run_id}/trace", KeyScope::RunsRead)
            .says("The time, tokens and money of a run, as a tree of spans.")
            .query::<TraceQuery>()
            .answers(&[Answer::json::<Trace>(200, "As `errand trace --json` prints it.")])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new("verify_run", Method::Get, "/v1/runs/{run_id}/verify", KeyScope::RunsRead)
            .says("Compares the journal of a run with the hashes of its events.")
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
                Answer::json::<RunRecord>(202, "The run is asked to end."),
                Answer::json::<RunRecord>(
                    200,
                    "The run is over, and none of its processes is alive.",
                ),
            ])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RunElsewhere]),
        Route::new("pause_run", Method::Post, "/v1/runs/{run_id}/pause", KeyScope::RunsWrite)
            .says("Freezes everything of a run; its time stands still.")
            .answers(&[Answer::json::<RunRecord>(200, "No process of the run executes.")])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RunNotLive, ErrorCode::RunLive]),
        Route::new("resume_run", Method::Post, "/v1/runs/{run_id}/resume", KeyScope::RunsWrite)
            .says("Lets a paused run go on, or allows a run more.")
            .takes(Body::maybe_json::<ResumeRequest>())
            .answers(&[Answer::json::<RunRecord>(200, "The run goes on.")])
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
                Answer::json::<RunRecord>(200, "The run has another attempt, or soon will."),
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
            .says("Shows a run, proves that its agent still does the same, or executes it again.")
            .takes(Body::maybe_json::<ReplayRequest>())
            .answers(&[
                Answer::json::<Story>(200, "`inspect`: the recorded run."),
                Answer::json::<RunRecord>(202, "`strict` or `live`: the new run is queued.")
                    .with(&[LOCATION]),
            ])
            .errors(NOT_AGAIN),
        Route::new("delete_run", Method::Delete, "/v1/runs/{run_id}", KeyScope::RunsWrite)
            .says("Removes a run that is over, with everything that belongs to it.")
            .query::<RemoveQuery>()
            .answers(&[Answer::empty(204, "The run is removed.")])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RunLive]),
    ],
};

/// Command with a route of its own, `POST /v1/runs/{run_id}/{verb}`, whose answer is the run's
/// record: in the form for a server, and in the form for the registry of this process.
#[derive(Clone, Debug, PartialEq)]
pub struct RunAction {
    /// Last segment of the path.
    pub verb: &'static str,
    /// Body of the request; `None` without one.
    pub body: Option<Value>,
    /// The command.
    pub command: CallerCommand,
    /// Name of the caller.
    pub by: String,
}

impl RunAction {
    /// Returns the action that freezes all processes of a run, in the name of `by`.
    pub fn pause(by: String) -> Self {
        let command = Pause::by_operator(Some(by.clone())).into();
        Self { verb: "pause", body: None, command, by }
    }
}

/// Options of a wait for the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelQuery {
    /// True to answer only once no process of the run is alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// Options of a cancellation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// Time for the agent to end by itself; by default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub grace_period: Option<String>,
    /// True to kill it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// Options of a resume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Limits of the run, and what may be spent from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raise: Option<RunBudgets>,
}

/// Options of a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartRequest {
    /// Time for the current attempt to end by itself; by default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::schema::DurationText>")]
    pub grace_period: Option<String>,
    /// True to kill it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// A registered version of the agent in the place of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub version: Option<String>,
    /// True to use the current version of the agent instead of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<bool>,
}

/// Options of a retry; the agent is the recorded one by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// A registered version of the agent in the place of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub version: Option<String>,
    /// True to use the current version of the agent instead of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<bool>,
}

/// Options of a wake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WakeRequest {
    /// Input of the agent; absent: none, as at a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::given")]
    #[schemars(extend("x-nullable" = true))]
    pub input: Option<Value>,
}

/// Options of a fork.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkRequest {
    /// The key of the first step to be done anew.
    #[schemars(length(min = 1, max = 1024))]
    pub from_step: String,
    /// Another input than the old run's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::given")]
    #[schemars(extend("x-nullable" = true))]
    pub input: Option<Value>,
    /// Model route of the catalog for the calls that are made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model_route: Option<String>,
}

/// Options of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Policy; by default `inspect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ReplayPolicyWord>,
    /// Another agent than the recorded one: its name, or `name@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub agent: Option<String>,
    /// With `live`: although the run had effects outside, which would happen once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_effects: Option<bool>,
}

// The model has a type of its own, since a run records only the policies that start one.
/// Policy of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ReplayPolicy")]
pub enum ReplayPolicyWord {
    /// Tells what a replay would serve; nothing runs.
    #[default]
    Inspect,
    /// Runs the agent with everything served from the record.
    Strict,
    /// Does it all again, with all its effects.
    Live,
}

/// Options of a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveQuery {
    /// True to kill a live run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}
