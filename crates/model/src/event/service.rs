//! Schedules, listeners and wakes of a service.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ChildUsage;
use crate::{Payload, RunId, Timestamp};

/// Wake-ups of a service. Part of `run.created`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// The interval the user asked for, or the default: how often the service looks around.
    #[serde(rename = "interval_ms", with = "crate::millis")]
    pub interval: Duration,
    /// True if each interval also wakes the agent.
    pub heartbeat: bool,
    /// Input of the agent at a heartbeat.
    pub heartbeat_input: Option<Payload>,
    /// Slots of time that wake it. No two alike.
    pub schedules: Vec<ScheduleSpec>,
    /// Addresses that wake it.
    pub listeners: Vec<ListenerSpec>,
    /// Restart policy.
    #[serde(default, skip_serializing_if = "ServiceRestart::is_never")]
    pub restart: ServiceRestart,
}

/// Restart policy: condition for a service to come back without a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ServiceRestart")]
pub enum ServiceRestart {
    /// After every end but one that a person asked for.
    Always,
    /// After the death of its supervising process and the reboot of its machine, unless it dies
    /// again and again.
    OnFailure,
    /// Never.
    // The default: journals from before there was a policy mean this.
    #[default]
    No,
}

impl ServiceRestart {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Always, Self::OnFailure, Self::No];

    /// The stored word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnFailure => "on_failure",
            Self::No => "no",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    const fn is_never(&self) -> bool {
        matches!(self, Self::No)
    }
}

/// Time of a listener's answer to a request that became a wake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Respond {
    /// After the end of the wake's run.
    #[default]
    AtEnd,
    /// As soon as the wake is durable: for senders that wait for seconds only.
    AtOnce,
}

impl Respond {
    /// The stored word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AtEnd => "at_end",
            Self::AtOnce => "at_once",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    const fn is_at_end(&self) -> bool {
        matches!(self, Self::AtEnd)
    }
}

/// A schedule of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Stable: derived from expression, time zone and payload.
    pub id: String,
    /// The cron expression as it was written.
    pub schedule_expr: String,
    /// An IANA time zone.
    pub timezone: String,
    /// Input of the agent; `None`: the slot itself.
    pub payload: Option<Payload>,
    /// Treatment of slots that passed while the service was down.
    pub missed: MissedPolicy,
    /// Treatment of a slot while the wake before it still runs.
    pub overlap: OverlapPolicy,
    /// Source of the schedule.
    pub source: ScheduleSource,
    /// Slots until then are none of this run's: the run that it repeats saw to them. `None`: those
    /// until it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_until: Option<Timestamp>,
}

/// Policy for slots that passed while nothing could fire them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissedPolicy {
    /// A single run stands for all missed slots, with the time of the latest.
    #[default]
    FireOnce,
    /// Missed slots are skipped.
    Skip,
    /// A run for each of the latest hundred missed slots, oldest first.
    FireAll,
}

/// Policy for a slot that comes while the run before it is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// The slot is skipped; the record of the service or the schedule shows it.
    #[default]
    Skip,
    /// The run starts when the one before it is over.
    Queue,
    /// The runs execute at the same time.
    Allow,
}

/// Source of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleSource {
    /// The command line.
    Flag,
    /// The agent file.
    AgentFile,
    /// An API.
    Api,
}

/// A listener of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerSpec {
    /// The address asked for; port 0 lets the system choose.
    pub listen_addr: String,
    /// The only path that is answered; `None`: all.
    pub path: Option<String>,
    /// The only methods that are answered; empty: all.
    pub methods: Vec<String>,
    /// The sha-256 of the shared secret, 64 hex digits; `None`: no secret is asked for.
    pub secret_sha256: Option<String>,
    /// The largest body that is read.
    pub max_body_bytes: u64,
    /// The largest request line and headers that are read.
    pub max_header_bytes: u64,
    /// Number of wakes that run at once; further requests wait, then are answered 429.
    pub max_parallel: u32,
    /// Time of the answer.
    #[serde(default, skip_serializing_if = "Respond::is_at_end")]
    pub respond: Respond,
    /// Names of hosts for which requests are taken without a secret, beside those of this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// `listener.bound`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerBound {
    /// The address asked for.
    pub listen_addr: String,
    /// The address in force.
    pub bound_addr: String,
}

/// `wake.fired`: written in the same commit that admits the wake's run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakeFired {
    /// Reason.
    pub reason: WakeReason,
    /// The wake's run.
    pub run_id: RunId,
    /// The schedule's id, the listener's address asked for, or the interrupted run that is taken
    /// up.
    pub source: Option<String>,
    /// The slot, for a schedule.
    pub slot_ms: Option<Timestamp>,
    /// Person or client that asked, for a wake by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// True if a `wake.ended` follows once the wake's run is over. Journals of older versions have
    /// none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_followed: bool,
}

/// `wake.ended`: the run of a wake is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakeEnded {
    /// The wake's run.
    pub run_id: RunId,
    /// Its status then; `removed`: it was removed before the service looked.
    pub status: String,
    /// Usage of the wake.
    #[serde(default)]
    pub usage: ChildUsage,
}

/// `wake.skipped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakeSkipped {
    /// Kind of the wake.
    pub reason: WakeReason,
    /// The schedule's id.
    pub source: Option<String>,
    /// The latest slot that was skipped.
    pub slot_ms: Timestamp,
    /// Number of skipped slots, this one included.
    pub slots: u64,
    /// Reason, for people.
    pub why: String,
}

/// Reason for a wake of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WakeReason {
    /// A person asked.
    Manual,
    /// The interval passed.
    Heartbeat,
    /// A slot came.
    Schedule,
    /// A request came.
    Ingress,
    /// A wake was interrupted by the death of the service's supervisor.
    Recovery,
}
