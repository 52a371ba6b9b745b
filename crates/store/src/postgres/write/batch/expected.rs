//! Appends to runs whose state is expected, and admissions: one round trip to the server.
//!
//! A process that wrote a run last knows its state, and so whether its next append is refused.
//! A new run needs a number, and those are drawn ahead. The transaction is sent as a whole; under
//! the locks, the server compares the states with the expected ones, and fails the transaction if
//! they differ. Then the states are read, as for any other change.

use std::collections::{BTreeMap, VecDeque};

use super::current::{Afterwards, BatchAnswer, LockedRun, is_plain_admission};
use super::{BatchTry, Gathered, Plan, decide, lock_names, write};
use crate::Append;
use crate::document::{DocumentWrite, Expect};
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::FailureRemedy;
use crate::postgres::lock::LOCK;
use crate::postgres::mark::{EndSign, MARK, Mark};
use crate::postgres::row::integer;
use crate::postgres::write::Grown;

/// Runs whose state is remembered; beyond that all are read again once.
const RUNS_LIMIT: usize = 4_096;

/// Numbers for new runs that are kept.
const NUMBERS_LIMIT: usize = 256;

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

/// States of live runs after this process's last change of them, and numbers for new runs.
#[derive(Debug, Default)]
pub(in crate::postgres) struct ExpectedRuns {
    runs: BTreeMap<String, LockedRun>,
    numbers: VecDeque<i64>,
}

impl ExpectedRuns {
    /// Notes what a commit left.
    pub(in crate::postgres) fn note(&mut self, after: Afterwards) {
        for (run_id, state) in after.states {
            match state {
                Some(state) => {
                    self.runs.insert(run_id.to_string(), state);
                }
                None => drop(self.runs.remove(run_id.as_str())),
            }
        }
        if self.runs.len() > RUNS_LIMIT {
            self.runs.clear();
        }
        self.numbers.extend(after.numbers);
        self.numbers.truncate(NUMBERS_LIMIT);
    }

    /// Forgets the runs of changes that were not made as expected.
    pub(in crate::postgres) fn forget(&mut self, jobs: &[Gathered]) {
        for job in jobs {
            if let Some(Plain::Append(append)) = plain(job) {
                self.runs.remove(append.run.id.as_str());
            }
        }
    }

    /// Returns the states of the runs of these changes, and numbers for their new runs, which are
    /// not given out again; `None` if something is not known, or a change has to read other rows.
    pub(in crate::postgres) fn of(&mut self, jobs: &[Gathered]) -> Option<BatchAnswer> {
        let (mut runs, mut admitted) = (BTreeMap::new(), 0);
        for job in jobs {
            match plain(job)? {
                Plain::Append(append) => {
                    let run_id = append.run.id.as_str();
                    runs.insert(run_id.to_owned(), self.runs.get(run_id)?.clone());
                }
                Plain::Admission => admitted += 1,
            }
        }
        let has_numbers = admitted <= self.numbers.len();
        has_numbers.then(|| BatchAnswer::expected(runs, self.numbers.drain(..admitted).collect()))
    }
}

/// A change about which the states of runs alone decide.
enum Plain<'a> {
    Append(&'a Append),
    Admission,
}

fn plain(job: &Gathered) -> Option<Plain<'_>> {
    let has_plain = |documents: &[DocumentWrite]| {
        documents.iter().all(|write| write.expect == Expect::Anything)
    };
    match job {
        Gathered::Append { append, .. } | Gathered::AppendAtRest { append, .. } => {
            let is_plain = append.run.spec.session_turn.is_none() && has_plain(&append.documents);
            is_plain.then_some(Plain::Append(append))
        }
        Gathered::Admit { admission, .. } => {
            is_plain_admission(admission).then_some(Plain::Admission)
        }
        Gathered::AppendAndAdmit { .. }
        | Gathered::AppendAndAdmitAll { .. }
        | Gathered::Take { .. }
        | Gathered::GiveBack { .. }
        | Gathered::Ask { .. } => None,
    }
}

/// Commits changes if all runs are in the states that [`ExpectedRuns::of`] returned. `None`:
/// nothing was written.
pub(in crate::postgres) async fn attempt_expected(
    db: &Db,
    jobs: &[Gathered],
    known: &BatchAnswer,
) -> Option<BatchTry> {
    let mut plan = Plan::default();
    let outcomes = decide(db, jobs, known, &mut plan).await.ok()?;
    // A refusal, and an append that was made before, are decided by the state as it is.
    let is_made =
        plan.after.states.len() == jobs.len() && plan.grown.iter().all(Grown::needs_no_query);
    if !is_made {
        return None;
    }
    let drawn = Mark::draw().ok()?;
    let names = lock_names(jobs);
    let states = States::of(known);
    let mut begin = vec![
        Step::Plain("BEGIN"),
        Step::Query(MARK, vec![&drawn]),
        Step::Query(LOCK, vec![&names]),
    ];
    if !states.runs.is_empty() {
        begin.push(states.step());
    }
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
