//! Appends to runs whose state is expected: one round trip to the server.
//!
//! A process that wrote a run last knows its state, and so whether its next append is refused.
//! The transaction is sent as a whole; under the locks, the server compares the state with the
//! expected one, and fails the transaction if they differ. Then the state is read, as for any
//! other change.

use std::collections::BTreeMap;

use errand_model::RunId;

use super::current::{BatchAnswer, LockedRun};
use super::{BatchTry, Gathered, Plan, decide, lock_names, write};
use crate::Append;
use crate::document::Expect;
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::FailureRemedy;
use crate::postgres::lock::LOCK;
use crate::postgres::mark::{EndSign, MARK, Mark};
use crate::postgres::row::integer;
use crate::postgres::write::Grown;

/// Runs whose state is remembered; beyond that all are read again once.
const RUNS_LIMIT: usize = 4_096;

/// Fails unless each run is in the given state.
const EXPECTED: &str = "SELECT 1 / (CASE WHEN count(*) = cardinality($1) THEN 1 ELSE 0 END) \
     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bytea[], \
     $7::bigint[], $8::bigint[], $9::bigint[]) \
     AS x (run, run_id, status, epoch, head_seq, head_hash, leased, state_seq, requests) \
     JOIN runs r ON r.run = x.run \
     LEFT JOIN leases l ON l.run = r.run LEFT JOIN states s ON s.run = r.run \
     WHERE r.run_id = x.run_id AND r.status = x.status AND num_nulls(r.ended_at_ms) = 1 \
     AND greatest(r.epoch, l.epoch) = x.epoch AND r.head_seq = x.head_seq \
     AND r.head_hash = x.head_hash AND l.epoch IS NOT DISTINCT FROM x.leased \
     AND coalesce(s.seq, 0) = x.state_seq \
     AND (SELECT count(*) FROM requests q WHERE q.run = r.run) = x.requests";

/// States of live runs after this process's last change of them.
#[derive(Debug, Default)]
pub(in crate::postgres) struct ExpectedRuns(BTreeMap<String, LockedRun>);

impl ExpectedRuns {
    /// Notes the states after a commit.
    pub(in crate::postgres) fn note(&mut self, after: Vec<(RunId, Option<LockedRun>)>) {
        for (run_id, state) in after {
            match state {
                Some(state) => {
                    self.0.insert(run_id.to_string(), state);
                }
                None => drop(self.0.remove(run_id.as_str())),
            }
        }
        if self.0.len() > RUNS_LIMIT {
            self.0.clear();
        }
    }

    /// Forgets the runs of changes that were not made as expected.
    pub(in crate::postgres) fn forget(&mut self, jobs: &[Gathered]) {
        for append in jobs.iter().filter_map(plain_append) {
            self.0.remove(append.run.id.as_str());
        }
    }

    /// Returns the states of the runs of these changes; `None` if one is not known, or a change has
    /// to read other rows.
    pub(in crate::postgres) fn of(&self, jobs: &[Gathered]) -> Option<BatchAnswer> {
        let mut runs = BTreeMap::new();
        for job in jobs {
            let run_id = plain_append(job)?.run.id.as_str();
            runs.insert(run_id.to_owned(), self.0.get(run_id)?.clone());
        }
        Some(BatchAnswer::of_runs(runs))
    }
}

/// Returns the append, if the state of its run is all that decides about it.
fn plain_append(job: &Gathered) -> Option<&Append> {
    match job {
        Gathered::Append { append, .. } | Gathered::AppendAtRest { append, .. } => {
            let is_plain = append.run.spec.session_turn.is_none()
                && append.documents.iter().all(|write| write.expect == Expect::Anything);
            is_plain.then_some(append)
        }
        Gathered::Admit { .. }
        | Gathered::AppendAndAdmit { .. }
        | Gathered::AppendAndAdmitAll { .. }
        | Gathered::Take { .. }
        | Gathered::GiveBack { .. }
        | Gathered::Ask { .. } => None,
    }
}

/// Commits appends if all runs are in the states that [`ExpectedRuns::of`] returned. `None`: nothing was written.
pub(in crate::postgres) async fn attempt_expected(
    db: &Db,
    jobs: &[Gathered],
    known: &BatchAnswer,
) -> Option<BatchTry> {
    let mut plan = Plan::default();
    let outcomes = decide(db, jobs, known, &mut plan).await.ok()?;
    // A refusal, and an append that was made before, are decided by the state as it is.
    let is_made = plan.after.len() == jobs.len() && plan.grown.iter().all(Grown::needs_no_query);
    if !is_made {
        return None;
    }
    let drawn = Mark::draw().ok()?;
    let names = lock_names(jobs);
    let states = States::of(known);
    let begin = vec![
        Step::Plain("BEGIN"),
        Step::Query(MARK, vec![&drawn]),
        Step::Query(LOCK, vec![&names]),
        states.step(),
    ];
    match write::commit_at_once(db, &plan, begin).await {
        Ok(()) => Some(BatchTry::Committed(outcomes, plan.after)),
        Err(failure) if failure.remedy() == FailureRemedy::Reconnect => {
            let mark = Mark { mark: drawn, end: EndSign::Locks(names) };
            Some(BatchTry::Unknown(mark, outcomes))
        }
        // The commit that was sent behind the failed statement rolled everything back.
        Err(_) => None,
    }
}

/// Expected states, by columns.
#[derive(Default)]
struct States<'a> {
    runs: Vec<i64>,
    ids: Vec<&'a str>,
    statuses: Vec<&'a str>,
    epochs: Vec<i64>,
    seqs: Vec<i64>,
    hashes: Vec<Vec<u8>>,
    leased: Vec<Option<i64>>,
    state_seqs: Vec<i64>,
    requests: Vec<i64>,
}

impl<'a> States<'a> {
    fn of(known: &'a BatchAnswer) -> Self {
        let mut all = Self::default();
        for (run_id, state) in known.runs() {
            all.runs.push(state.run);
            all.ids.push(run_id);
            all.statuses.push(&state.status);
            all.epochs.push(integer(state.epoch));
            all.seqs.push(state.head.map_or(0, |head| integer(head.seq)));
            all.hashes.push(state.head.map_or(Vec::new(), |head| head.hash.as_bytes().to_vec()));
            all.leased.push(state.leased.map(integer));
            all.state_seqs.push(integer(state.state_seq));
            all.requests.push(i64::from(state.open_requests));
        }
        all
    }

    fn step(&self) -> Step<'_> {
        let Self { runs, ids, statuses, epochs, seqs, hashes, leased, state_seqs, requests } = self;
        let values: Vec<crate::postgres::db::Value<'_>> =
            vec![runs, ids, statuses, epochs, seqs, hashes, leased, state_seqs, requests];
        Step::Query(EXPECTED, values)
    }
}
