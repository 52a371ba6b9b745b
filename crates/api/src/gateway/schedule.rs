//! Schedules of a server.

use std::collections::BTreeMap;

use errand_model::RunId;
use errand_model::event::{Missed, Overlap};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::agent::PageQuery;
use super::route::{Answer, Area, Body, Header, Method, Route, Scope};
use super::run::given;
use crate::error_code::ErrorCode;

/// A schedule that somebody wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRequest {
    /// What it is called; with `PUT` the path says it.
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
    /// What the agent is given: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(extend("x-nullable" = true))]
    pub input: Option<Value>,
    /// What happens to slots that passed while no server was there; `fire_once` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<MissedPolicy>,
    /// What happens to a slot while the run before it is not over; `skip` unless said.
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
    /// Whether its slots fire; they do unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// What happens to slots that passed while no server was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissedPolicy {
    /// One run for all of them, for the latest slot.
    #[default]
    FireOnce,
    /// None.
    Skip,
    /// One run for each of the latest hundred.
    FireAll,
}

impl From<MissedPolicy> for Missed {
    fn from(policy: MissedPolicy) -> Self {
        match policy {
            MissedPolicy::FireOnce => Self::FireOnce,
            MissedPolicy::Skip => Self::Skip,
            MissedPolicy::FireAll => Self::FireAll,
        }
    }
}

impl From<Missed> for MissedPolicy {
    fn from(policy: Missed) -> Self {
        match policy {
            Missed::FireOnce => Self::FireOnce,
            Missed::Skip => Self::Skip,
            Missed::FireAll => Self::FireAll,
        }
    }
}

/// What happens to a slot while the run before it is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// It is not run, and the schedule says so.
    #[default]
    Skip,
    /// It runs when the one before it is over.
    Queue,
    /// It runs beside it.
    Allow,
}

impl From<OverlapPolicy> for Overlap {
    fn from(policy: OverlapPolicy) -> Self {
        match policy {
            OverlapPolicy::Skip => Self::Skip,
            OverlapPolicy::Queue => Self::Queue,
            OverlapPolicy::Allow => Self::Allow,
        }
    }
}

impl From<Overlap> for OverlapPolicy {
    fn from(policy: Overlap) -> Self {
        match policy {
            Overlap::Skip => Self::Skip,
            Overlap::Queue => Self::Queue,
            Overlap::Allow => Self::Allow,
        }
    }
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// What it is called.
    pub name: String,
    /// Its agent: a name, or `name@version`.
    pub agent: String,
    /// The cron line, as it was written.
    pub cron: String,
    /// The time zone.
    pub timezone: String,
    /// What the agent is given.
    #[serde(default)]
    pub input: Option<Value>,
    /// What happens to slots that passed while no server was there.
    pub missed: MissedPolicy,
    /// What happens to a slot while the run before it is not over.
    pub overlap: OverlapPolicy,
    /// Labels of the runs.
    pub labels: BTreeMap<String, String>,
    /// The conversation that the runs belong to.
    pub session_id: Option<String>,
    /// Whether its slots fire.
    pub enabled: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// The latest slot that was fired or skipped.
    pub last_slot_at_ms: Option<i64>,
    /// The run that was fired last.
    #[schemars(with = "Option<String>")]
    pub last_run_id: Option<RunId>,
    /// The next slots; none while it is paused.
    pub next_fires_ms: Vec<i64>,
    /// What became of the latest slots, the latest first.
    pub recent: Vec<ScheduleSlot>,
}

/// What became of a slot, or of several that were skipped together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleSlot {
    /// The slot, the latest of several; `null`: somebody asked.
    pub slot_ms: Option<i64>,
    /// When it was seen to.
    pub at_ms: i64,
    /// The run, where one was fired.
    #[schemars(with = "Option<String>")]
    pub run_id: Option<RunId>,
    /// Why none was fired.
    pub skipped: Option<String>,
    /// How many slots.
    pub slots: u64,
}

/// A page of schedules, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SchedulePage {
    /// The schedules.
    pub schedules: Vec<Schedule>,
    /// What is to be given as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A run that was fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FiredRun {
    /// Which.
    #[schemars(with = "String")]
    pub run_id: RunId,
}

const LOCATION: Header = Header { name: "Location", says: "The path of what was made." };

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
        Route::new("list_schedules", Method::Get, "/v1/schedules", Scope::RunsRead)
            .says("Lists schedules by name.")
            .query::<PageQuery>()
            .answers(&[Answer::json::<SchedulePage>(200, "A page of them.")]),
        Route::new("create_schedule", Method::Post, "/v1/schedules", Scope::RunsWrite)
            .says("Makes a schedule; without a name it gets one.")
            .takes(Body::json::<ScheduleRequest>())
            .answers(&[Answer::json::<Schedule>(201, "It is made.").with(&[LOCATION])])
            .errors(REFUSED),
        Route::new("get_schedule", Method::Get, "/v1/schedules/{schedule}", Scope::RunsRead)
            .says("A schedule, with its next slots and what became of the latest.")
            .answers(&[Answer::json::<Schedule>(200, "The schedule.")])
            .errors(NOT_FOUND),
        Route::new("put_schedule", Method::Put, "/v1/schedules/{schedule}", Scope::RunsWrite)
            .says("Makes a schedule of that name, or changes it.")
            .takes(Body::json::<ScheduleRequest>())
            .answers(&[
                Answer::json::<Schedule>(201, "It is made.").with(&[LOCATION]),
                Answer::json::<Schedule>(200, "It is changed."),
            ])
            .errors(REFUSED),
        Route::new("delete_schedule", Method::Delete, "/v1/schedules/{schedule}", Scope::RunsWrite)
            .says("Forgets a schedule; its runs stay.")
            .answers(&[Answer::empty(204, "It is forgotten.")])
            .errors(NOT_FOUND),
        Route::new(
            "pause_schedule",
            Method::Post,
            "/v1/schedules/{schedule}/pause",
            Scope::RunsWrite,
        )
        .says("Keeps a schedule from firing; slots that pass meanwhile are gone.")
        .answers(&[Answer::json::<Schedule>(200, "It is paused.")])
        .errors(NOT_FOUND),
        Route::new(
            "resume_schedule",
            Method::Post,
            "/v1/schedules/{schedule}/resume",
            Scope::RunsWrite,
        )
        .says("Lets a schedule fire from its next slot on.")
        .answers(&[Answer::json::<Schedule>(200, "It is not paused.")])
        .errors(NOT_FOUND),
        Route::new(
            "fire_schedule",
            Method::Post,
            "/v1/schedules/{schedule}/fire",
            Scope::RunsWrite,
        )
        .says("Fires a run at once, whatever the slots say.")
        .answers(&[Answer::json::<FiredRun>(202, "It is queued.").with(&[LOCATION])])
        .errors(&[
            ErrorCode::ScheduleNotFound,
            ErrorCode::ChangedMeanwhile,
            ErrorCode::AgentNotFound,
            ErrorCode::InputInvalid,
        ]),
    ],
};
