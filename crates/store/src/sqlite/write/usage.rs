//! What the calls in a journal used: summed in the commit that makes their events durable.

use std::collections::BTreeMap;

use errand_model::Timestamp;
use errand_model::accounting::{MODEL_CALLED, ModelCall, TOOL_CALLED, Tokens, ToolCall};
use errand_model::event::{Event, Replay, ReplayPolicy};
use errand_model::price::Day;
use errand_model::run::Run;
use errand_model::spend::Amounts;
use rusqlite::{Connection, params};
use serde_json::Value;

use crate::sqlite::failure::Failure;
use crate::sqlite::row::{integer, number};

/// What the rows of `usage` are told apart by, within a run.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) agent: String,
    pub(super) day: i64,
    pub(super) kind: &'static str,
    pub(super) provider: String,
    pub(super) name: String,
    pub(super) step: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) calls: u64,
    pub(super) unpriced_calls: u64,
    pub(super) tokens: Tokens,
    pub(super) cost_micro_usd: u64,
    pub(super) wall_time_ms: u64,
}

/// What a batch of events adds.
#[derive(Debug, Default)]
pub(super) struct Additions {
    pub(super) rows: BTreeMap<Key, Sums>,
    days: BTreeMap<i64, Amounts>,
    settled: Vec<String>,
    /// An attempt ended, and with it whatever was promised to its calls.
    ends_attempt: bool,
}

/// Adds what `events` of the run used, and takes back what was promised to them. With the last
/// event of a run that has limits, its sums are computed once more from its whole journal.
///
/// A replay that serves everything from the record uses nothing.
pub(super) fn project(
    connection: &Connection,
    number: i64,
    run: &Run,
    events: &[Event],
) -> Result<(), Failure> {
    let is_strict = |replay: &Replay| replay.policy == ReplayPolicy::Strict;
    if run.spec.replay.as_ref().is_some_and(is_strict) {
        return Ok(());
    }
    let mut additions = Additions::default();
    for event in events {
        additions.take(&event.kind, &event.data, event.at);
    }
    if additions.ends_attempt {
        additions.add_time(connection, number, run, events)?;
    }
    additions.write(connection, number, &run.spec.agent_key())?;
    if run.status.is_terminal() && !run.spec.budgets.is_unlimited() {
        super::reconcile_usage::reconcile(connection, number, run)?;
    }
    Ok(())
}

/// Takes back everything that was promised to a run: nobody is left who could settle it.
pub(super) fn release_all(connection: &Connection, run: i64) -> Result<(), Failure> {
    connection.prepare_cached("DELETE FROM reservations WHERE run = ?1")?.execute([run])?;
    Ok(())
}

impl Additions {
    pub(super) fn take(&mut self, kind: &str, data: &str, at: Timestamp) {
        const ATTEMPT_ENDS: [&str; 3] = ["attempt.exited", "attempt.failed", "attempt.stopped"];
        if ATTEMPT_ENDS.contains(&kind) {
            self.ends_attempt = true;
            return;
        }
        let (is_model, is_tool) = (kind == MODEL_CALLED, kind == TOOL_CALLED);
        if !is_model && !is_tool {
            return;
        }
        // What was kept is JSON; were it not, it would count as nothing.
        let data: Value = serde_json::from_str(data).unwrap_or(Value::Null);
        let day = Day::of(at).number();
        if is_model {
            self.model_call(day, ModelCall::of(&data));
        } else {
            self.tool_call(day, ToolCall::of(&data));
        }
    }

    /// What the watch of the run shows beyond what was counted of it before.
    fn add_time(
        &mut self,
        connection: &Connection,
        number: i64,
        run: &Run,
        events: &[Event],
    ) -> Result<(), Failure> {
        const COUNTED: &str =
            "SELECT sum(wall_time_ms) FROM usage WHERE run = ?1 AND kind = 'time'";
        let counted: Option<i64> =
            connection.prepare_cached(COUNTED)?.query_row([number], |row| row.get(0))?;
        let counted = self::number(counted.unwrap_or(0));
        let wall_time_ms = run.budget.watch.spent_ms.saturating_sub(counted);
        let Some(last) = events.last().filter(|_| wall_time_ms > 0) else { return Ok(()) };
        let day = Day::of(last.at).number();
        let key = Key { day, kind: "time", ..Key::default() };
        self.rows.entry(key).or_default().wall_time_ms += wall_time_ms;
        self.add_to_day(day, Amounts { wall_time_ms, ..Amounts::ZERO });
        Ok(())
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
        self.rows.entry(key).or_default().calls += 1;
        self.add_to_day(day, Amounts { tool_calls: 1, ..Amounts::ZERO });
        self.settled.extend(call.reservation_id);
    }

    fn add_to_day(&mut self, day: i64, spent: Amounts) {
        if spent.is_zero() {
            return;
        }
        let used = self.days.entry(day).or_default();
        *used = used.plus(spent);
    }

    pub(super) fn write(
        self,
        connection: &Connection,
        run: i64,
        agent: &str,
    ) -> Result<(), Failure> {
        const USAGE: &str = "INSERT INTO usage (run, agent, day, kind, provider, name, step, \
             calls, unpriced_calls, input_tokens, output_tokens, cached_tokens, reasoning_tokens, \
             cost_micro_usd, wall_time_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
             ON CONFLICT DO UPDATE SET calls = calls + ?8, unpriced_calls = unpriced_calls + ?9, \
             input_tokens = input_tokens + ?10, output_tokens = output_tokens + ?11, \
             cached_tokens = cached_tokens + ?12, reasoning_tokens = reasoning_tokens + ?13, \
             cost_micro_usd = cost_micro_usd + ?14, wall_time_ms = wall_time_ms + ?15";
        const SETTLED: &str = "DELETE FROM reservations WHERE id = ?1 AND run = ?2";
        for (key, sums) in &self.rows {
            connection.prepare_cached(USAGE)?.execute(params![
                run,
                key.agent,
                key.day,
                key.kind,
                key.provider,
                key.name,
                key.step,
                integer(sums.calls),
                integer(sums.unpriced_calls),
                integer(sums.tokens.input),
                integer(sums.tokens.output),
                integer(sums.tokens.cached),
                integer(sums.tokens.reasoning),
                integer(sums.cost_micro_usd),
                integer(sums.wall_time_ms),
            ])?;
        }
        for (day, used) in self.days {
            add_to_day(connection, agent, day, used)?;
        }
        for id in &self.settled {
            connection.prepare_cached(SETTLED)?.execute(params![id, run])?;
        }
        if self.ends_attempt {
            release_all(connection, run)?;
        }
        Ok(())
    }
}

/// Adds to what an agent used in a day.
pub(super) fn add_to_day(
    connection: &Connection,
    agent: &str,
    day: i64,
    used: Amounts,
) -> Result<(), Failure> {
    const SQL: &str = "INSERT INTO agent_days (agent, day, tokens, cost_micro_usd, tool_calls, \
         wall_time_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET \
         tokens = tokens + ?3, cost_micro_usd = cost_micro_usd + ?4, \
         tool_calls = tool_calls + ?5, wall_time_ms = wall_time_ms + ?6";
    connection.prepare_cached(SQL)?.execute(params![
        agent,
        day,
        integer(used.tokens),
        integer(used.cost_micro_usd),
        integer(used.tool_calls),
        integer(used.wall_time_ms),
    ])?;
    Ok(())
}
