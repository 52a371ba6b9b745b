//! Reports of runs to their callers, and the receivers of reports.

use errand_model::RunId;
use errand_model::callback::CallbackEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::{Answer, Area, Body, KeyScope, Method, Route};
use crate::error_code::ErrorCode;

/// State of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallbackState {
    /// The next try is scheduled.
    Waiting,
    /// The receiver is disabled: the report waits until it is enabled again.
    Held,
    /// The receiver has the report.
    Delivered,
    /// No further try, except on request.
    Abandoned,
}

/// A report of a run to its callback address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Callback {
    /// Id for the receiver: the header `webhook-id`.
    pub id: String,
    /// The run's id.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Event of the run.
    #[serde(rename = "type")]
    pub event: CallbackEvent,
    /// Address of the receiver, without its query.
    pub url: String,
    /// State of the report.
    pub state: CallbackState,
    /// Reason for waiting, or the last error.
    pub note: Option<String>,
    /// Number of tries.
    pub tries: u32,
    /// Time of the event, in milliseconds since 1970.
    pub at_ms: i64,
    /// Time of the next try.
    pub next_try_at_ms: Option<i64>,
    /// The latest tries, oldest first; where one run is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<CallbackTry>,
}

/// A try to deliver a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallbackTry {
    /// From 1.
    pub number: u32,
    /// Start of the try, in milliseconds since 1970.
    pub at_ms: i64,
    /// Duration of the try; `null` while it is under way, and if its process died.
    pub duration_ms: Option<u64>,
    /// Status of the receiver's answer.
    pub status: Option<u16>,
    /// Error of the try, if any.
    pub error: Option<String>,
    /// The beginning of what the receiver said, secrets masked.
    pub response: Option<String>,
}

/// The reports of one run, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallbackList {
    /// The reports, with their tries.
    pub callbacks: Vec<Callback>,
}

/// Selection of reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackQuery {
    /// Only those that stand like that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<CallbackState>,
    /// The greatest number of entries; 50 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// Cursor: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of reports, those of the newest run first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallbackPage {
    /// The reports, without their tries.
    pub callbacks: Vec<Callback>,
    /// Value of `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A receiver that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackTargetRequest {
    /// Its URL; scheme, host and port of it count.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
}

/// A receiver of reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallbackTarget {
    /// Scheme, host and port.
    pub origin: String,
    /// True if it gets reports.
    pub enabled: bool,
    /// Since when it is disabled, in milliseconds since 1970.
    pub disabled_at_ms: Option<i64>,
    /// Reason for which it is disabled.
    pub disabled_because: Option<String>,
    /// Failed tries since one worked.
    pub failures: u32,
    /// Time of the first of these failures, in milliseconds since 1970.
    pub failing_since_ms: Option<i64>,
    /// Last error.
    pub last_error: Option<String>,
    /// Time of its creation, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// The secret that reports are signed with: only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// The receivers of a namespace, by origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallbackTargetList {
    /// The receivers.
    pub targets: Vec<CallbackTarget>,
}

const NO_TARGET: &[ErrorCode] = &[ErrorCode::CallbackTargetNotFound, ErrorCode::ChangedMeanwhile];

/// Routes about reports.
pub const AREA: Area = Area {
    name: "callbacks",
    says: "Reports of runs to subscribed URLs, and their receivers.",
    routes: &[
        Route::new(
            "list_deliveries",
            Method::Get,
            "/v1/runs/{run_id}/deliveries",
            KeyScope::RunsRead,
        )
        .says("The reports of a run, with each try.")
        .answers(&[Answer::json::<CallbackList>(200, "With each try.")])
        .errors(&[ErrorCode::RunNotFound]),
        Route::new("list_callbacks", Method::Get, "/v1/callbacks", KeyScope::RunsRead)
            .says("Lists reports, those of the newest run first.")
            .query::<CallbackQuery>()
            .answers(&[Answer::json::<CallbackPage>(200, "A page of them.")]),
        Route::new(
            "redeliver_callback",
            Method::Post,
            "/v1/callbacks/{callback}/redeliver",
            KeyScope::RunsWrite,
        )
        .says("Delivers a report again, at once and under the same id.")
        .answers(&[Answer::json::<Callback>(202, "The report is due.")])
        .errors(&[ErrorCode::CallbackNotFound, ErrorCode::ChangedMeanwhile]),
        Route::new("list_callback_targets", Method::Get, "/v1/callback-targets", KeyScope::Admin)
            .says("Lists the receivers of reports.")
            .answers(&[Answer::json::<CallbackTargetList>(200, "All of them.")]),
        Route::new("create_callback_target", Method::Post, "/v1/callback-targets", KeyScope::Admin)
            .says("Makes a receiver and the secret that reports to it are signed with.")
            .takes(Body::json::<CallbackTargetRequest>())
            .answers(&[Answer::json::<CallbackTarget>(201, "With its secret, this once.")])
            .errors(&[
                ErrorCode::CallbackRefused,
                ErrorCode::CallbackTargetExists,
                ErrorCode::TooManyDefinitions,
            ]),
        Route::new(
            "delete_callback_target",
            Method::Delete,
            "/v1/callback-targets/{origin}",
            KeyScope::Admin,
        )
        .says("Forgets a receiver and its secret.")
        .answers(&[Answer::empty(204, "The receiver is forgotten.")])
        .errors(NO_TARGET),
        Route::new(
            "enable_callback_target",
            Method::Post,
            "/v1/callback-targets/{origin}/enable",
            KeyScope::Admin,
        )
        .says("Lets a receiver get reports again, those that waited too.")
        .answers(&[Answer::json::<CallbackTarget>(200, "The receiver is enabled.")])
        .errors(NO_TARGET),
        Route::new(
            "disable_callback_target",
            Method::Post,
            "/v1/callback-targets/{origin}/disable",
            KeyScope::Admin,
        )
        .says("Keeps reports from a receiver: they wait until it is enabled again.")
        .answers(&[Answer::json::<CallbackTarget>(200, "The receiver is disabled.")])
        .errors(NO_TARGET),
        Route::new(
            "rotate_callback_secret",
            Method::Post,
            "/v1/callback-targets/{origin}/rotate",
            KeyScope::Admin,
        )
        .says("Gives a receiver a new secret.")
        .answers(&[Answer::json::<CallbackTarget>(200, "With its secret, this once.")])
        .errors(NO_TARGET),
    ],
};
