//! Sums of the use by calls, updated in the commit of their events.

mod reconcile;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use errand_model::spend::Amounts;

use super::Grown;
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;
use crate::postgres::row::{integer, number};
use crate::postgres::text::indexed;
use crate::projection::{Additions, Key, Sums, uses_nothing};

/// Number of commits that add to days, after which the additions to their days are merged.
const SUM_UP_EVERY: u64 = 64;

/// Number of commits of this process that added to days.
static COMMITS: AtomicU64 = AtomicU64::new(0);

/// Adds the use in the events, and releases its reservations. With the last event of a run that has
/// limits, its sums are computed again from its whole journal.
///
/// A strict replay uses nothing.
pub(super) async fn project(db: &Db, grown: &[Grown<'_>]) -> Result<(), Failure> {
    let mut parts: Vec<(&Grown<'_>, Additions)> = grown
        .iter()
        .filter(|grown| !uses_nothing(grown.run))
        .map(|grown| (grown, Additions::of(grown.events)))
        .collect();
    let mut counted = counted_time(db, &parts).await?;
    let mut added = Added::default();
    for (grown, additions) in &mut parts {
        if additions.ends_attempt {
            let counted = counted.entry(grown.number).or_default();
            additions.add_time(*counted, grown.run, grown.events);
            *counted = (*counted).max(grown.run.budget.watch.spent_ms);
        }
        added.take(grown, additions);
    }
    added.write(db).await?;
    for (grown, _) in &parts {
        if grown.run.status.is_terminal() && !grown.run.spec.budgets.is_unlimited() {
            reconcile::reconcile(db, grown).await?;
        }
    }
    Ok(())
}

/// Returns the milliseconds counted before, for runs that end an attempt other than their first.
async fn counted_time(
    db: &Db,
    parts: &[(&Grown<'_>, Additions)],
) -> Result<BTreeMap<i64, u64>, Failure> {
    const SQL: &str = "SELECT run, sum(wall_time_ms)::bigint FROM usage \
         WHERE run = ANY($1) AND kind = 'time' GROUP BY run";
    let runs: Vec<i64> = parts
        .iter()
        .filter(|(grown, additions)| additions.ends_attempt && grown.run.attempts.len() > 1)
        .map(|(grown, _)| grown.number)
        .collect();
    let mut counted = BTreeMap::new();
    if !runs.is_empty() {
        for row in db.query(SQL, &[&runs]).await? {
            counted.insert(row.try_get(0)?, number(row.try_get(1)?));
        }
    }
    Ok(counted)
}

/// Use that several runs add.
#[derive(Default)]
pub(super) struct Added {
    rows: BTreeMap<(i64, Key), Sums>,
    days: BTreeMap<(String, i64), Amounts>,
    settled: Vec<(String, i64)>,
    /// Runs of which an attempt ended.
    ended: Vec<i64>,
}

impl Added {
    pub(super) fn take(&mut self, grown: &Grown<'_>, additions: &Additions) {
        for (key, sums) in &additions.rows {
            let key = Key {
                agent: indexed(&key.agent).into_owned(),
                provider: indexed(&key.provider).into_owned(),
                name: indexed(&key.name).into_owned(),
                step: indexed(&key.step).into_owned(),
                ..*key
            };
            self.rows.entry((grown.number, key)).or_default().add(sums);
        }
        if !additions.days.is_empty() {
            let agent = indexed(&grown.run.spec.agent_key()).into_owned();
            for (day, amounts) in &additions.days {
                let sum = self.days.entry((agent.clone(), *day)).or_default();
                *sum = sum.plus(*amounts);
            }
        }
        let settled = additions.settled.iter().map(|id| (indexed(id).into_owned(), grown.number));
        self.settled.extend(settled);
        if additions.ends_attempt {
            self.ended.push(grown.number);
        }
    }

    /// Sums up what the events of runs add, if no query is needed for that: see
    /// [`Grown::needs_no_query`].
    pub(super) fn of(grown: &[Grown<'_>]) -> Self {
        let mut added = Self::default();
        for grown in grown.iter().filter(|grown| !uses_nothing(grown.run)) {
            let mut additions = Additions::of(grown.events);
            if additions.ends_attempt {
                additions.add_time(0, grown.run, grown.events);
            }
            added.take(grown, &additions);
        }
        added
    }

    /// Returns the rows to write.
    pub(super) fn rows(&self) -> AddedRows<'_> {
        let (settled, settled_runs) =
            self.settled.iter().map(|(id, run)| (id.as_str(), *run)).unzip();
        let sums_up = !self.days.is_empty()
            && COMMITS.fetch_add(1, Ordering::Relaxed) % SUM_UP_EVERY == SUM_UP_EVERY - 1;
        AddedRows {
            rows: Rows::of(&self.rows),
            days: Days::of(&self.days),
            sums_up,
            settled,
            settled_runs,
            ended: &self.ended,
        }
    }

    /// Writes all additions; sends nothing if there are none.
    pub(super) async fn write(&self, db: &Db) -> Result<(), Failure> {
        let rows = self.rows();
        let steps = rows.steps();
        if !steps.is_empty() {
            db.pipeline(&steps).await?;
        }
        Ok(())
    }
}

/// Additions as rows, by columns.
pub(super) struct AddedRows<'a> {
    rows: Rows<'a>,
    days: Days<'a>,
    /// Set if the additions to these days are to be merged.
    sums_up: bool,
    settled: Vec<&'a str>,
    settled_runs: Vec<i64>,
    ended: &'a Vec<i64>,
}

impl AddedRows<'_> {
    /// Returns the statements that write them; none if there are no additions.
    pub(super) fn steps(&self) -> Vec<Step<'_>> {
        const SETTLE: &str = "DELETE FROM reservations v \
             USING unnest($1::text[], $2::bigint[]) AS x (id, run) \
             WHERE v.id = x.id AND v.run = x.run";
        const RELEASE: &str = "DELETE FROM reservations WHERE run = ANY($1)";
        let mut steps = Vec::new();
        if !self.rows.runs.is_empty() {
            steps.push(self.rows.step());
        }
        if !self.days.days.is_empty() {
            steps.push(self.days.step());
        }
        if self.sums_up {
            steps.push(self.days.sum_up());
        }
        if !self.settled.is_empty() {
            steps.push(Step::Execute(SETTLE, vec![&self.settled, &self.settled_runs]));
        }
        if !self.ended.is_empty() {
            steps.push(Step::Execute(RELEASE, vec![self.ended]));
        }
        steps
    }
}

/// Rows of `usage`, by columns.
#[derive(Default)]
struct Rows<'a> {
    runs: Vec<i64>,
    days: Vec<i64>,
    calls: Vec<i64>,
    unpriced_calls: Vec<i64>,
    input_tokens: Vec<i64>,
    output_tokens: Vec<i64>,
    cached_tokens: Vec<i64>,
    reasoning_tokens: Vec<i64>,
    cost_micro_usd: Vec<i64>,
    wall_time_ms: Vec<i64>,
    agents: Vec<&'a str>,
    kinds: Vec<&'a str>,
    providers: Vec<&'a str>,
    names: Vec<&'a str>,
    steps: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    fn of(rows: &'a BTreeMap<(i64, Key), Sums>) -> Self {
        let mut all = Self::default();
        for ((run, key), sums) in rows {
            all.runs.push(*run);
            all.days.push(key.day);
            all.calls.push(integer(sums.calls));
            all.unpriced_calls.push(integer(sums.unpriced_calls));
            all.input_tokens.push(integer(sums.tokens.input));
            all.output_tokens.push(integer(sums.tokens.output));
            all.cached_tokens.push(integer(sums.tokens.cached));
            all.reasoning_tokens.push(integer(sums.tokens.reasoning));
            all.cost_micro_usd.push(integer(sums.cost_micro_usd));
            all.wall_time_ms.push(integer(sums.wall_time_ms));
            all.agents.push(&key.agent);
            all.kinds.push(key.kind);
            all.providers.push(&key.provider);
            all.names.push(&key.name);
            all.steps.push(&key.step);
        }
        all
    }

    fn step(&self) -> Step<'_> {
        const SQL: &str = "INSERT INTO usage (run, day, calls, unpriced_calls, input_tokens, \
             output_tokens, cached_tokens, reasoning_tokens, cost_micro_usd, wall_time_ms, agent, \
             kind, provider, name, step) SELECT * FROM unnest($1::bigint[], $2::bigint[], \
             $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], \
             $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], \
             $15::text[]) ON CONFLICT (run, agent, day, kind, provider, name, step) DO UPDATE SET \
             calls = usage.calls + excluded.calls, \
             unpriced_calls = usage.unpriced_calls + excluded.unpriced_calls, \
             input_tokens = usage.input_tokens + excluded.input_tokens, \
             output_tokens = usage.output_tokens + excluded.output_tokens, \
             cached_tokens = usage.cached_tokens + excluded.cached_tokens, \
             reasoning_tokens = usage.reasoning_tokens + excluded.reasoning_tokens, \
             cost_micro_usd = usage.cost_micro_usd + excluded.cost_micro_usd, \
             wall_time_ms = usage.wall_time_ms + excluded.wall_time_ms";
        Step::Execute(
            SQL,
            vec![
                &self.runs,
                &self.days,
                &self.calls,
                &self.unpriced_calls,
                &self.input_tokens,
                &self.output_tokens,
                &self.cached_tokens,
                &self.reasoning_tokens,
                &self.cost_micro_usd,
                &self.wall_time_ms,
                &self.agents,
                &self.kinds,
                &self.providers,
                &self.names,
                &self.steps,
            ],
        )
    }
}

/// Additions to days, by columns.
#[derive(Default)]
pub(super) struct Days<'a> {
    agents: Vec<&'a str>,
    days: Vec<i64>,
    tokens: Vec<i64>,
    cost_micro_usd: Vec<i64>,
    tool_calls: Vec<i64>,
    wall_time_ms: Vec<i64>,
}

impl<'a> Days<'a> {
    fn of(all: &'a BTreeMap<(String, i64), Amounts>) -> Self {
        let mut days = Self::default();
        for ((agent, day), used) in all {
            days.add(agent, *day, [used.tokens, used.cost_micro_usd, used.tool_calls].map(integer));
            days.wall_time_ms.push(integer(used.wall_time_ms));
        }
        days
    }

    /// Adds a correction for a run: amounts may be negative; time is not corrected.
    pub(super) fn mend(&mut self, agent: &'a str, day: i64, [tokens, cost, calls]: [i64; 3]) {
        self.add(agent, day, [tokens, cost, calls]);
        self.wall_time_ms.push(0);
    }

    fn add(&mut self, agent: &'a str, day: i64, [tokens, cost, calls]: [i64; 3]) {
        self.agents.push(agent);
        self.days.push(day);
        self.tokens.push(tokens);
        self.cost_micro_usd.push(cost);
        self.tool_calls.push(calls);
    }

    pub(super) fn step(&self) -> Step<'_> {
        const SQL: &str = "INSERT INTO agent_days (agent, day, tokens, cost_micro_usd, \
             tool_calls, wall_time_ms) SELECT * FROM unnest($1::text[], $2::bigint[], \
             $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])";
        Step::Execute(
            SQL,
            vec![
                &self.agents,
                &self.days,
                &self.tokens,
                &self.cost_micro_usd,
                &self.tool_calls,
                &self.wall_time_ms,
            ],
        )
    }

    /// Merges the additions to these days. A concurrent merge takes other rows.
    fn sum_up(&self) -> Step<'_> {
        Step::Execute(SUM_UP, vec![&self.agents, &self.days])
    }
}

/// Statement that merges the additions to days, for agents and days.
pub(super) const SUM_UP: &str = "WITH taken AS (DELETE FROM agent_days WHERE ctid = ANY(ARRAY( \
     SELECT a.ctid FROM agent_days a JOIN (SELECT DISTINCT agent, day \
     FROM unnest($1::text[], $2::bigint[]) AS x (agent, day)) x \
     ON a.agent = x.agent AND a.day = x.day FOR UPDATE OF a SKIP LOCKED)) \
     RETURNING agent, day, tokens, cost_micro_usd, tool_calls, wall_time_ms) \
     INSERT INTO agent_days (agent, day, tokens, cost_micro_usd, tool_calls, wall_time_ms) \
     SELECT agent, day, sum(tokens), sum(cost_micro_usd), sum(tool_calls), sum(wall_time_ms) \
     FROM taken GROUP BY agent, day";
