//! Execution of a plan: one statement per table, all sent at once.

use futures_util::future::try_join;

use super::Plan;
use super::plan::LEASES;
use crate::Admission;
use crate::postgres::db::{Db, Step, Value};
use crate::postgres::failure::Failure;
use crate::postgres::write::{Added, DocumentRows, Grown, project};

const RUNS: &str = "INSERT INTO runs (run, run_id, kind, agent, name, labels, session_id, \
     parent_run_id, idempotency_key, fingerprint, fingerprint_key, status, epoch, head_seq, \
     head_hash, namespace, class) \
     SELECT run, run_id, kind, agent, name, labels, session_id, parent_run_id, \
     CASE WHEN key IS NOT NULL AND EXISTS (SELECT 1 FROM runs o \
     WHERE coalesce(o.namespace, '') = coalesce(x.namespace, '') AND o.idempotency_key = key) \
     THEN NULL ELSE key END, \
     fingerprint, fingerprint_key, status, epoch, head_seq, head_hash, namespace, class \
     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
     $7::text[], $8::text[], $9::text[], $10::bytea[], $11::bigint[], $12::text[], $13::bigint[], \
     $14::bigint[], $15::bytea[], $16::text[], $17::text[]) \
     AS x (run, run_id, kind, agent, name, labels, session_id, parent_run_id, key, fingerprint, \
     fingerprint_key, status, epoch, head_seq, head_hash, namespace, class)";

const EVENTS: &str = "INSERT INTO events (run, seq, at_ms, attempt, type, data, hash) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::text[], \
     $6::text[], $7::bytea[])";

/// Fails unless it changed all given runs: a run with another end, or a terminal one, was changed
/// without its lock.
///
/// The condition on `ended_at_ms` is written so that it does not match the partial index of live
/// runs: the planner would read all of them for each given run.
const HEADS: &str = "WITH changed AS (UPDATE runs r SET head_seq = x.head_seq, \
     head_hash = x.head_hash, epoch = x.epoch, status = x.status, ended_at_ms = x.ended_at_ms \
     FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::text[], \
     $7::bigint[]) AS x (run, seen_seq, head_seq, head_hash, epoch, status, ended_at_ms) \
     WHERE r.run = x.run AND r.head_seq = x.seen_seq AND num_nulls(r.ended_at_ms) = 1 RETURNING 1) \
     SELECT 1 / (CASE WHEN count(*) = cardinality($1) THEN 1 ELSE 0 END) FROM changed";

const QUEUE: &str = "INSERT INTO queue (run, rank, ready_at_ms, ring, class) \
     SELECT x.run, x.rank, x.ready_at_ms, g.current, r.class \
     FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS x (run, rank, ready_at_ms) \
     JOIN runs r ON r.run = x.run JOIN rings g ON g.name = 'queue'";

const STATES: &str = "INSERT INTO states (run, seq, state) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[]) \
     ON CONFLICT (run) DO UPDATE SET seq = excluded.seq, state = excluded.state";

pub(in crate::postgres) const NAMES: &str = "INSERT INTO names (run, digest, is_parcel) \
     SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::boolean[]) ON CONFLICT DO NOTHING";

const REQUESTS: &str = "INSERT INTO requests (id, run, at_ms, kind) \
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[])";

const ANSWERED: &str = "DELETE FROM requests q USING unnest($1::bigint[], $2::bigint[]) \
     AS x (id, run) WHERE q.id = x.id AND q.run = x.run";

const GIVEN_BACK: &str = "UPDATE runs r SET epoch = x.epoch \
     FROM unnest($1::bigint[], $2::bigint[]) AS x (run, epoch) \
     WHERE r.run = x.run AND r.epoch < x.epoch";

pub(in crate::postgres) const UNQUEUE: &str = "DELETE FROM queue WHERE run = ANY($1)";
pub(in crate::postgres) const UNLEASE: &str = "DELETE FROM leases WHERE run = ANY($1)";
pub(in crate::postgres) const UNRESERVE: &str = "DELETE FROM reservations WHERE run = ANY($1)";
const UNASK: &str = "DELETE FROM requests WHERE run = ANY($1)";

/// Writes a plan and commits it: in one round trip, unless a projection has to read rows.
pub(super) async fn commit(db: &Db, plan: &Plan<'_>) -> Result<(), Failure> {
    if plan.grown.iter().all(Grown::needs_no_query) {
        return commit_at_once(db, plan, Vec::new()).await;
    }
    apply(db, plan).await?;
    db.batch("COMMIT").await
}

/// Writes a plan that needs no query and commits it, in the same round trip as the statements in
/// `first`.
pub(super) async fn commit_at_once<'a>(
    db: &Db,
    plan: &'a Plan<'_>,
    first: Vec<Step<'a>>,
) -> Result<(), Failure> {
    let added = Added::of(&plan.grown);
    let use_rows = added.rows();
    let documents = DocumentRows::of(&plan.documents);
    let mut all = first;
    all.extend(steps(plan));
    all.extend(use_rows.steps());
    all.extend(documents.steps());
    all.push(Step::Plain("COMMIT"));
    db.pipeline(&all).await.map(drop)
}

/// Writes a plan and its projections. All of it is sent at once, the plan first: projections may
/// read rows of the plan.
async fn apply(db: &Db, plan: &Plan<'_>) -> Result<(), Failure> {
    let documents = DocumentRows::of(&plan.documents);
    let mut steps = steps(plan);
    steps.extend(documents.steps());
    // Otherwise a projection would overtake statements that have to be prepared first.
    db.prepare(&steps).await?;
    let written = async { db.pipeline(&steps).await.map(drop) };
    try_join(written, project(db, &plan.grown)).await.map(drop)
}

/// Imports a run of another registry in the transaction in progress. All checks are done and the
/// locks are held.
pub(in crate::postgres) async fn insert(
    db: &Db,
    admission: &Admission,
    epoch: u64,
) -> Result<(), Failure> {
    const NUMBER: &str = "SELECT nextval('runs_run_seq')";
    let Some(row) = db.query_first(NUMBER, &[]).await? else {
        return Err(Failure::Unexpected("too few numbers for runs"));
    };
    let mut plan = Plan::default();
    plan.admit(row.try_get(0)?, admission, epoch)?;
    apply(db, &plan).await
}

/// Returns the statements of a plan that have rows.
fn steps<'a>(plan: &'a Plan<'_>) -> Vec<Step<'a>> {
    let mut steps = Steps(Vec::new());
    steps.put(UNQUEUE, vec![&plan.unqueued], !plan.unqueued.is_empty());
    steps.put(UNLEASE, vec![&plan.unleased], !plan.unleased.is_empty());
    steps.put(UNRESERVE, vec![&plan.unreserved], !plan.unreserved.is_empty());
    steps.put(UNASK, vec![&plan.unasked], !plan.unasked.is_empty());
    let (ids, of) = &plan.answered;
    steps.put(ANSWERED, vec![ids, of], !ids.is_empty());
    steps.put(RUNS, runs(plan), !plan.runs.run.is_empty());
    steps.put(EVENTS, events(plan), !plan.events.run.is_empty());
    let (given_back, epochs) = &plan.given_back;
    steps.put(GIVEN_BACK, vec![given_back, epochs], !given_back.is_empty());
    let states = &plan.states;
    steps.put(STATES, vec![&states.run, &states.seq, &states.state], !states.run.is_empty());
    let names = &plan.names;
    let values: Vec<Value<'_>> = vec![&names.run, &names.digest, &names.is_parcel];
    steps.put(NAMES, values, !names.run.is_empty());
    let leases = &plan.leases;
    let values: Vec<Value<'_>> =
        vec![&leases.run, &leases.epoch, &leases.expires_at_ms, &leases.holder];
    steps.put(LEASES, values, !leases.run.is_empty());
    let queue = &plan.queue;
    steps.put(QUEUE, vec![&queue.run, &queue.rank, &queue.ready_at_ms], !queue.run.is_empty());
    let asked = &plan.requests;
    let values: Vec<Value<'_>> = vec![&asked.id, &asked.run, &asked.at_ms, &asked.kind];
    steps.put(REQUESTS, values, !asked.run.is_empty());
    steps.put(HEADS, heads(plan), !plan.heads.run.is_empty());
    steps.0
}

struct Steps<'a>(Vec<Step<'a>>);

impl<'a> Steps<'a> {
    fn put(&mut self, sql: &'a str, values: Vec<Value<'a>>, is_wanted: bool) {
        if is_wanted {
            self.0.push(Step::Execute(sql, values));
        }
    }
}

fn runs<'a>(plan: &'a Plan<'_>) -> Vec<Value<'a>> {
    let rows = &plan.runs;
    vec![
        &rows.run,
        &rows.run_id,
        &rows.kind,
        &rows.agent,
        &rows.name,
        &rows.labels,
        &rows.session_id,
        &rows.parent_run_id,
        &rows.idempotency_key,
        &rows.fingerprint,
        &rows.fingerprint_key,
        &rows.status,
        &rows.epoch,
        &rows.head_seq,
        &rows.head_hash,
        &rows.namespace,
        &rows.class,
    ]
}

fn events<'a>(plan: &'a Plan<'_>) -> Vec<Value<'a>> {
    let rows = &plan.events;
    vec![&rows.run, &rows.seq, &rows.at_ms, &rows.attempt, &rows.kind, &rows.data, &rows.hash]
}

fn heads<'a>(plan: &'a Plan<'_>) -> Vec<Value<'a>> {
    let rows = &plan.heads;
    vec![
        &rows.run,
        &rows.seen_seq,
        &rows.head_seq,
        &rows.head_hash,
        &rows.epoch,
        &rows.status,
        &rows.ended_at_ms,
    ]
}
