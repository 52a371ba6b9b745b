//! Schedules of a server.

use std::collections::BTreeMap;

use errand_model::RunId;
use errand_model::event::{MissedPolicy, OverlapPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::agent::PageQuery;
use super::route::{Answer, Area, Body, Header, KeyScope, Method, Route};
use super::run::given;
use crate::error_code::ErrorCode;

/// Request for a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRequest {
    /// Name of the schedule; with `PUT` it is in the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,
    /// A registered agent: its name, or `name@version`.
    #[schemars(length(min = 1, max = 200))]
    pub agent: String,
    /// A cron line of 5 fields, 6 with seconds first or 7 with the year last, `@hourly`, or
    /// `@every 30s`.
    #[schemars(length(min = 1, max = 256))]
    pub cron: String,
    /// An IANA time zone; UTC unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub timezone: Option<String>,
    /// Input of the agent: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(extend("x-nullable" = true))]
    pub input: Option<Value>,
    /// Treatment of slots that passed while no server was running; by default `fire_once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<MissedPolicy>,
    /// Treatment of a slot while the run before it is not over; by default `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<OverlapPolicy>,
    /// Labels of the runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// The conversation that the runs belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub session_id: Option<String>,
    /// True, as by default, if its slots fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// Name of the schedule.
    pub name: String,
    /// Its agent: a name, or `name@version`.
    pub agent: String,
    /// The cron line, as it was written.
    pub cron: String,
    /// The time zone.
    pub timezone: String,
    /// Input of the agent.
    #[serde(default)]
    pub input: Option<Value>,
    /// Treatment of slots that passed while no server was running.
    pub missed: MissedPolicy,
    /// Treatment of a slot while the run before it is not over.
    pub overlap: OverlapPolicy,
    /// Labels of the runs.
    pub labels: BTreeMap<String, String>,
    /// The conversation that the runs belong to.
    pub session_id: Option<String>,
    /// True if its slots fire.
    pub enabled: bool,
    /// Time of its creation, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// The latest slot that was fired or skipped.
    pub last_slot_at_ms: Option<i64>,
    /// The run that was fired last.
    #[schemars(with = "Option<String>")]
    pub last_run_id: Option<RunId>,
    /// The next slots; none while it is paused.
    pub next_fires_ms: Vec<i64>,
    /// Outcome of the latest slots, the latest first.
    pub recent: Vec<ScheduleSlot>,
}

/// Outcome of a slot, or of several that were skipped together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleSlot {
    /// The slot, the latest of several; `null`: fired on request.
    pub slot_ms: Option<i64>,
    /// Time at which it was handled.
    pub at_ms: i64,
    /// The run, where one was fired.
    #[schemars(with = "Option<String>")]
    pub run_id: Option<RunId>,
    /// Reason why no run was fired.
    pub skipped: Option<String>,
    /// Number of slots.
    pub slots: u64,
}

/// A page of schedules, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SchedulePage {
    /// The schedules.
    pub schedules: Vec<Schedule>,
    /// Value of `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A run that was fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FiredRun {
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
}

const LOCATION: Header = Header { name: "Location", says: "The path of the schedule or run." };

const REFUSED: &[ErrorCode] = &[
    ErrorCode::ScheduleInvalid,
    ErrorCode::ScheduleConflict,
    ErrorCode::CronInvalid,
    ErrorCode::TimeZoneInvalid,
    ErrorCode::AgentNotFound,
    ErrorCode::AgentUnsupported,
    ErrorCode::InputInvalid,
    ErrorCode::ParcelNotFound,
    ErrorCode::TooManyDefinitions,
    ErrorCode::ChangedMeanwhile,
];

const NOT_FOUND: &[ErrorCode] = &[ErrorCode::ScheduleNotFound, ErrorCode::ChangedMeanwhile];

/// Routes about schedules.
pub const AREA: Area = Area {
    name: "schedules",
    says: "Slots of time that fire runs of registered agents.",
    routes: &[
        Route::new("list_schedules", Method::Get, "/v1/schedules", KeyScope::RunsRead)
            .says("Lists schedules by name.")
            .query::<PageQuery>()
            .answers(&[Answer::json::<SchedulePage>(200, "A page of them.")]),
        Route::new("create_schedule", Method::Post, "/v1/schedules", KeyScope::RunsWrite)
            .says("Makes a schedule; without a name it gets one.")
            .takes(Body::json::<ScheduleRequest>())
            .answers(&[Answer::json::<Schedule>(201, "The schedule is made.").with(&[LOCATION])])
            .errors(REFUSED),
        Route::new("get_schedule", Method::Get, "/v1/schedules/{schedule}", KeyScope::RunsRead)
            .says("A schedule, with its next slots and the outcome of the latest.")
            .answers(&[Answer::json::<Schedule>(200, "The schedule.")])
            .errors(NOT_FOUND),
        Route::new("put_schedule", Method::Put, "/v1/schedules/{schedule}", KeyScope::RunsWrite)
            .says("Makes a schedule of that name, or changes it.")
            .takes(Body::json::<ScheduleRequest>())
            .answers(&[
                Answer::json::<Schedule>(201, "The schedule is made.").with(&[LOCATION]),
                Answer::json::<Schedule>(200, "The schedule is changed."),
            ])
            .errors(REFUSED),
        Route::new(
            "delete_schedule",
            Method::Delete,
            "/v1/schedules/{schedule}",
            KeyScope::RunsWrite,
        )
        .says("Forgets a schedule; its runs stay.")
        .answers(&[Answer::empty(204, "The schedule is forgotten.")])
        .errors(NOT_FOUND),
        Route::new(
            "pause_schedule",
            Method::Post,
            "/v1/schedules/{schedule}/pause",
            KeyScope::RunsWrite,
        )
        .says("Keeps a schedule from firing; slots that pass meanwhile are gone.")
        .answers(&[Answer::json::<Schedule>(200, "The schedule is paused.")])
        .errors(NOT_FOUND),
        Route::new(
            "resume_schedule",
            Method::Post,
            "/v1/schedules/{schedule}/resume",
            KeyScope::RunsWrite,
        )
        .says("Lets a schedule fire from its next slot on.")
        .answers(&[Answer::json::<Schedule>(200, "The schedule is not paused.")])
        .errors(NOT_FOUND),
        Route::new(
            "fire_schedule",
            Method::Post,
            "/v1/schedules/{schedule}/fire",
            KeyScope::RunsWrite,
        )
        .says("Fires a run at once, whatever the slots say.")
        .answers(&[Answer::json::<FiredRun>(202, "The run is queued.").with(&[LOCATION])])
        .errors(&[
            ErrorCode::ScheduleNotFound,
            ErrorCode::ChangedMeanwhile,
            ErrorCode::AgentNotFound,
            ErrorCode::InputInvalid,
        ]),
    ],
};
