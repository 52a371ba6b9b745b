//! Sums of the use by calls, and reservations of an agent's day.

use errand_model::RunId;
use errand_model::price::Day;
use errand_model::spend::{Amounts, SpendingCaps, Spent, Want};

use crate::Namespaces;

/// Query for sums of use.
#[derive(Clone, Debug)]
pub struct UsageFilter {
    /// Namespaces whose runs are selected.
    pub namespaces: Namespaces,
    /// Property by which the rows are grouped.
    pub by: UsageBy,
    /// First day of the calls.
    pub since: Option<Day>,
    /// Last day of the calls.
    pub until: Option<Day>,
    /// Limits the sums to runs of this agent.
    pub agent: Option<String>,
    /// Limits the sums to this run.
    pub run_id: Option<RunId>,
}

/// Property by which use is grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageBy {
    /// No rows, only the total.
    Total,
    /// A run, by its id.
    Run,
    /// An agent: the one that the report names, or else the run's.
    Agent,
    /// A model, as `provider/model`; tool calls are not in it.
    Model,
    /// A session; runs without one have no key.
    Session,
    /// A day in UTC, as `YYYY-MM-DD`.
    Day,
    /// A step, by its key; calls outside of steps have no key.
    Step,
    /// A tool; model calls are not in it.
    Tool,
    /// The value that a label has; runs without it have no key.
    Label(String),
}

impl UsageBy {
    /// Parses `run`, `agent`, `model`, `session`, `day`, `step`, `tool` or `label=KEY`.
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "run" => Self::Run,
            "agent" => Self::Agent,
            "model" => Self::Model,
            "session" => Self::Session,
            "day" => Self::Day,
            "step" => Self::Step,
            "tool" => Self::Tool,
            _ => match word.strip_prefix("label=") {
                Some(label) if !label.is_empty() => Self::Label(label.to_owned()),
                Some(_) | None => return None,
            },
        })
    }
}

/// The requested rows and their total.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageTotals {
    /// The most expensive first, then those with most calls, then by key.
    pub rows: Vec<UsageRow>,
    /// All rows together; by tool and by model, calls of the other kind are in neither.
    pub total: UsageRow,
}

impl UsageTotals {
    /// Sorts the rows.
    pub(crate) fn sort(&mut self) {
        self.rows.sort_by(|a, b| {
            let weight = |row: &UsageRow| (row.cost_micro_usd, row.model_calls, row.tool_calls);
            weight(b).cmp(&weight(a)).then_with(|| a.key.cmp(&b.key))
        });
    }
}

/// The sums of one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// Value of the grouping property; `None`: calls without one.
    pub key: Option<String>,
    /// Runs that worked or made calls.
    pub runs: u64,
    /// Calls of models.
    pub model_calls: u64,
    /// Calls of models whose cost is not known.
    pub unpriced_calls: u64,
    /// Calls of tools.
    pub tool_calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Part of the input tokens that was read from a cache.
    pub cached_tokens: u64,
    /// Part of the output tokens that was spent on reasoning.
    pub reasoning_tokens: u64,
    /// Known cost in millionths of a US dollar; `None`: no call's cost is known.
    pub cost_micro_usd: Option<u64>,
    /// Milliseconds of work by agent processes, pauses excluded; only of attempts that are over.
    pub wall_time_ms: u64,
}

/// A reservation of a part of an agent's day for a call of a run.
#[derive(Clone, Debug)]
pub struct DayReservation {
    /// Id of the reservation, by which it is settled or released.
    pub id: String,
    /// The run that makes the call.
    pub run_id: RunId,
    /// Lease of the caller; refused unless it is the one in force.
    pub epoch: u64,
    /// Name of the agent.
    pub agent: String,
    /// Day in UTC.
    pub day: Day,
    /// Amount to be reserved.
    pub want: Want,
    /// Limits of the day, as this run has them.
    pub caps: SpendingCaps,
}

/// Result of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DayReserved {
    /// The reservation holds until the event of the call settles it, it is released, or the attempt
    /// ends.
    Granted,
    /// The limits leave no room for it.
    Refused {
        /// The limit that leaves no room.
        spent: Spent,
        /// Other runs with reservations, at most [`HOLDERS_LIMIT`]: one of them may be dead.
        holders: Vec<RunId>,
    },
}

/// Upper bound on the runs that a refusal names.
pub const HOLDERS_LIMIT: u32 = 256;

/// Use and reservations of an agent's day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayStanding {
    /// Used by all runs of the agent.
    pub used: Amounts,
    /// Reserved for calls in progress.
    pub reserved: Amounts,
}
