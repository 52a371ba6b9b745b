//! Sums of the use by calls in a journal.

use std::collections::BTreeMap;

use errand_model::Timestamp;
use errand_model::accounting::{MODEL_CALLED, ModelCall, TOOL_CALLED, Tokens, ToolCall};
use errand_model::event::{Event, Replay, ReplayPolicy};
use errand_model::price::Day;
use errand_model::run::Run;
use errand_model::spend::Amounts;
use serde_json::Value;

/// Columns that identify a row of `usage` within a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) agent: String,
    pub(crate) day: i64,
    pub(crate) kind: &'static str,
    pub(crate) provider: String,
    pub(crate) name: String,
    pub(crate) step: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) calls: u64,
    pub(crate) unpriced_calls: u64,
    pub(crate) tokens: Tokens,
    pub(crate) cost_micro_usd: u64,
    pub(crate) wall_time_ms: u64,
}

impl Sums {
    /// Adds the sums of `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.unpriced_calls += other.unpriced_calls;
        self.tokens.input += other.tokens.input;
        self.tokens.output += other.tokens.output;
        self.tokens.cached += other.tokens.cached;
        self.tokens.reasoning += other.tokens.reasoning;
        self.cost_micro_usd += other.cost_micro_usd;
        self.wall_time_ms += other.wall_time_ms;
    }
}

/// Use that a batch of events adds.
#[derive(Debug, Default)]
pub(crate) struct Additions {
    pub(crate) rows: BTreeMap<Key, Sums>,
    pub(crate) days: BTreeMap<i64, Amounts>,
    /// Reservations that these calls settle.
    pub(crate) settled: Vec<String>,
    /// An attempt ended, and with it all reservations for its calls.
    pub(crate) ends_attempt: bool,
}

/// Returns true for a run whose use does not count: a strict replay serves every call from the
/// record.
pub(crate) fn uses_nothing(run: &Run) -> bool {
    let is_strict = |replay: &Replay| replay.policy == ReplayPolicy::Strict;
    run.spec.replay.as_ref().is_some_and(is_strict)
}

impl Additions {
    /// Sums the use in `events`.
    pub(crate) fn of(events: &[Event]) -> Self {
        let mut additions = Self::default();
        for event in events {
            additions.take(&event.kind, &event.data, event.at);
        }
        additions
    }

    pub(crate) fn take(&mut self, kind: &str, data: &str, at: Timestamp) {
        const ATTEMPT_ENDS: [&str; 3] = ["attempt.exited", "attempt.failed", "attempt.stopped"];
        if ATTEMPT_ENDS.contains(&kind) {
            self.ends_attempt = true;
            return;
        }
        let (is_model, is_tool) = (kind == MODEL_CALLED, kind == TOOL_CALLED);
        if !is_model && !is_tool {
            return;
        }
        // Stored data is JSON; anything else would count as nothing.
        let data: Value = serde_json::from_str(data).unwrap_or(Value::Null);
        let day = Day::of(at).number();
        if is_model {
            self.model_call(day, ModelCall::of(&data));
        } else {
            self.tool_call(day, ToolCall::of(&data));
        }
    }

    /// Adds the run's working time beyond the `counted` milliseconds, at the time of the last of
    /// `events`.
    pub(crate) fn add_time(&mut self, counted: u64, run: &Run, events: &[Event]) {
        let wall_time_ms = run.budget.watch.spent_ms.saturating_sub(counted);
        let Some(last) = events.last().filter(|_| wall_time_ms > 0) else { return };
        let day = Day::of(last.at).number();
        let key = Key { day, kind: "time", ..Key::default() };
        self.rows.entry(key).or_default().wall_time_ms += wall_time_ms;
        self.add_to_day(day, Amounts { wall_time_ms, ..Amounts::ZERO });
    }

    fn model_call(&mut self, day: i64, call: ModelCall) {
        let tokens = call.tokens;
        let spent = Amounts {
            tokens: tokens.total(),
            cost_micro_usd: call.cost_micro_usd.unwrap_or(0),
            ..Amounts::ZERO
        };
        let key = Key {
            agent: call.agent.unwrap_or_default(),
            day,
            kind: "model",
            provider: call.provider.unwrap_or_default(),
            name: call.model.unwrap_or_default(),
            step: call.step.unwrap_or_default(),
        };
        let sums = self.rows.entry(key).or_default();
        sums.calls += 1;
        sums.unpriced_calls += u64::from(call.cost_micro_usd.is_none());
        sums.tokens.input += tokens.input;
        sums.tokens.output += tokens.output;
        sums.tokens.cached += tokens.cached;
        sums.tokens.reasoning += tokens.reasoning;
        sums.cost_micro_usd += spent.cost_micro_usd;
        self.add_to_day(day, spent);
        self.settled.extend(call.reservation_id);
    }

    fn tool_call(&mut self, day: i64, call: ToolCall) {
        let key = Key {
            agent: call.agent.unwrap_or_default(),
            day,
            kind: "tool",
            provider: String::new(),
            name: call.name.unwrap_or_default(),
            step: call.step.unwrap_or_default(),
        };
        let cost_micro_usd = call.cost_micro_usd.unwrap_or(0);
        let sums = self.rows.entry(key).or_default();
        sums.calls += 1;
        sums.cost_micro_usd += cost_micro_usd;
        self.add_to_day(day, Amounts { tool_calls: 1, cost_micro_usd, ..Amounts::ZERO });
        self.settled.extend(call.reservation_id);
    }

    fn add_to_day(&mut self, day: i64, spent: Amounts) {
        if spent.is_zero() {
            return;
        }
        let used = self.days.entry(day).or_default();
        *used = used.plus(spent);
    }

    /// Sums the calls by day; time is not included.
    pub(crate) fn calls_by_day(&self) -> BTreeMap<i64, Amounts> {
        let mut days: BTreeMap<i64, Amounts> = BTreeMap::new();
        for (key, sums) in &self.rows {
            let amounts = Amounts {
                tokens: sums.tokens.total(),
                cost_micro_usd: sums.cost_micro_usd,
                tool_calls: if key.kind == "tool" { sums.calls } else { 0 },
                wall_time_ms: 0,
            };
            let sum = days.entry(key.day).or_default();
            *sum = sum.plus(amounts);
        }
        days
    }
}
