//! What calls used, summed up, and what an agent's day has been promised.

use errand_model::RunId;
use errand_model::price::Day;
use errand_model::spend::{Amounts, Caps, Spent, Want};

use crate::Namespaces;

/// Which sums are wanted.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// Whose runs.
    pub namespaces: Namespaces,
    /// A row for each of these.
    pub by: UsageBy,
    /// Only calls on or after this day.
    pub since: Option<Day>,
    /// Only calls on or before this day.
    pub until: Option<Day>,
    /// Only runs of the agent of that name.
    pub agent: Option<String>,
    /// Only that run.
    pub run_id: Option<RunId>,
}

/// What a row of sums is about.
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
    /// What a word means: `run`, `agent`, `model`, `session`, `day`, `step`, `tool` or `label=KEY`.
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

/// What was asked for, and all of it together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most expensive first, then those with most calls, then by key.
    pub rows: Vec<UsageRow>,
    /// All rows together; by tool and by model, calls of the other kind are in neither.
    pub total: UsageRow,
}

impl Usage {
    /// Brings the rows into their order.
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
    /// What the row is about; `None`: whatever has no such thing.
    pub key: Option<String>,
    /// Runs that worked, or called something.
    pub runs: u64,
    /// Calls of models.
    pub model_calls: u64,
    /// Of these, calls whose cost is not known.
    pub unpriced_calls: u64,
    /// Calls of tools.
    pub tool_calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Of the input, read from a cache.
    pub cached_tokens: u64,
    /// Of the output, spent on reasoning.
    pub reasoning_tokens: u64,
    /// Known cost in millionths of a US dollar; `None`: no call's cost is known.
    pub cost_micro_usd: Option<u64>,
    /// Milliseconds that agents' processes worked, pauses not counted; of attempts that are over.
    pub wall_time_ms: u64,
}

/// A part of an agent's day that a call of a run is about to use.
#[derive(Clone, Debug)]
pub struct DayReservation {
    /// Its name, by which it is settled or released.
    pub id: String,
    /// The run that asks.
    pub run_id: RunId,
    /// The lease of whoever asks; refused unless it is the one in force.
    pub epoch: u64,
    /// Whose day.
    pub agent: String,
    /// Which day.
    pub day: Day,
    /// What is asked for.
    pub want: Want,
    /// What the day allows, by the limits of this run.
    pub caps: Caps,
}

/// What became of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DayReserved {
    /// It holds until it is settled by the event of the call, released, or the attempt ends.
    Granted,
    /// There is no room for it.
    Refused {
        /// Which limit leaves none.
        spent: Spent,
        /// Other runs that were promised something, at most [`HOLDERS_LIMIT`]: one of them may be
        /// dead.
        holders: Vec<RunId>,
    },
}

/// No more runs than so many are named where a reservation is refused.
pub const HOLDERS_LIMIT: u32 = 256;

/// How an agent's day stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayStanding {
    /// Spent by all runs of the agent.
    pub used: Amounts,
    /// Promised to calls that are under way.
    pub reserved: Amounts,
}
