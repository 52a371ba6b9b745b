//! Present state of runs that a batch changes, read under their locks.

use std::collections::{BTreeMap, VecDeque};

use errand_model::{Head, RunId};

use super::Gathered;
use crate::document::Expect;
use crate::fence::FenceState;
use crate::postgres::db::{Answer, Step};
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, fingerprint, head, number, run_id};
use crate::postgres::text::indexed;
use crate::postgres::write::{FoundDocuments, WantedDocuments};
use crate::{Admission, DocumentWrite, Error};

/// A run under its lock.
#[derive(Clone, Debug)]
pub(in crate::postgres) struct LockedRun {
    /// Number of the run in this database.
    pub(in crate::postgres) run: i64,
    /// Name of the status.
    pub(in crate::postgres) status: String,
    pub(in crate::postgres) is_over: bool,
    /// The last lease's number.
    pub(in crate::postgres) epoch: u64,
    /// End of the journal; `None` if it cannot be read.
    pub(in crate::postgres) head: Option<Head>,
    /// The number of the lease in force.
    pub(in crate::postgres) leased: Option<u64>,
    /// Number of events that the stored fold covers; 0: none is stored.
    pub(in crate::postgres) state_seq: u64,
    /// Number of unanswered requests.
    pub(in crate::postgres) open_requests: u32,
}

/// Knowledge of a commit that later changes use.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Afterwards {
    /// States of changed runs; `None`: to be read again.
    pub(in crate::postgres) states: Vec<(RunId, Option<LockedRun>)>,
    /// Numbers for new runs that were drawn and not used.
    pub(in crate::postgres) numbers: Vec<i64>,
}

/// Query for [`LockedRun`] by run ids.
pub(in crate::postgres) const CURRENT: &str = "SELECT r.run_id, r.run, r.status, r.ended_at_ms IS NOT NULL, greatest(r.epoch, l.epoch), \
     r.head_seq, r.head_hash, l.epoch, s.seq, \
     (SELECT count(*) FROM requests q WHERE q.run = r.run) \
     FROM unnest($1::text[]) AS x (run_id) JOIN runs r ON r.run_id = x.run_id \
     LEFT JOIN leases l ON l.run = r.run LEFT JOIN states s ON s.run = r.run";

/// Query for runs by idempotency keys.
const BY_KEY: &str = "SELECT r.run_id, r.fingerprint, x.namespace, x.key \
     FROM unnest($1::text[], $2::text[]) AS x (namespace, key) \
     JOIN runs r ON coalesce(r.namespace, '') = x.namespace AND r.idempotency_key = x.key";

/// Query for runs by fingerprints, newest first.
const BY_FINGERPRINT: &str = "SELECT r.run_id, r.fingerprint FROM runs r \
     WHERE r.fingerprint_key = ANY($1) AND r.status NOT IN ('failed', 'cancelled') \
     ORDER BY r.run_id DESC";

/// Queries for new numbers of runs and requests.
const RUN_NUMBERS: &str = "SELECT nextval('runs_run_seq') FROM generate_series(1, $1)";
const REQUEST_NUMBERS: &str = "SELECT nextval('requests_id_seq') FROM generate_series(1, $1)";

/// Numbers for later admissions that one of them draws.
const NUMBERS_AHEAD: i32 = 64;

/// Rows that a batch needs.
#[derive(Debug, Default)]
pub(super) struct BatchQuery {
    runs: Vec<String>,
    namespaces: Vec<String>,
    keys: Vec<String>,
    fingerprints: Vec<i64>,
    documents: WantedDocuments,
    admissions: i32,
    /// Numbers for runs that are drawn for later admissions.
    ahead: i32,
    /// Numbers for runs in all.
    run_numbers: i32,
    requests: i32,
}

/// Rows that were found.
#[derive(Debug, Default)]
pub(in crate::postgres) struct BatchAnswer {
    runs: BTreeMap<String, LockedRun>,
    by_key: BTreeMap<(String, String), (RunId, Vec<u8>)>,
    by_fingerprint: BTreeMap<Vec<u8>, RunId>,
    documents: FoundDocuments,
    run_numbers: Vec<i64>,
    request_numbers: Vec<i64>,
}

/// New numbers, reserved for this batch.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    runs: VecDeque<i64>,
    requests: VecDeque<i64>,
}

impl Numbers {
    pub(super) fn run(&mut self) -> Result<i64, Failure> {
        self.runs.pop_front().ok_or(Failure::Unexpected("too few numbers for runs"))
    }

    /// Returns the numbers of runs that were not used.
    pub(super) fn spare(self) -> Vec<i64> {
        self.runs.into()
    }

    pub(super) fn request(&mut self) -> Result<i64, Failure> {
        self.requests.pop_front().ok_or(Failure::Unexpected("too few numbers for requests"))
    }
}

impl BatchQuery {
    pub(super) fn of(jobs: &[Gathered]) -> Self {
        let mut wanted = Self::default();
        for job in jobs {
            match job {
                Gathered::Admit { admission, .. } => wanted.admission(admission),
                Gathered::Append { append, .. } | Gathered::AppendAtRest { append, .. } => {
                    wanted.append(append);
                }
                Gathered::AppendAndAdmit { parent, child, .. } => {
                    wanted.append(parent);
                    wanted.admission(child);
                }
                Gathered::AppendAndAdmitAll { parent, children, .. } => {
                    wanted.append(parent);
                    children.iter().for_each(|child| wanted.admission(child));
                }
                Gathered::Take { run_id, .. } | Gathered::GiveBack { run_id, .. } => {
                    wanted.runs.push(run_id.to_string());
                }
                Gathered::Ask { run_id, .. } => {
                    wanted.runs.push(run_id.to_string());
                    wanted.requests += 1;
                }
            }
        }
        wanted.run_numbers = wanted.admissions + wanted.ahead;
        wanted
    }

    fn append(&mut self, append: &crate::Append) {
        self.runs.push(append.run.id.to_string());
        self.documents.add(&append.documents);
    }

    fn admission(&mut self, admission: &Admission) {
        let spec = &admission.run.spec;
        self.admissions += 1;
        if is_plain_admission(admission) {
            self.ahead = NUMBERS_AHEAD;
        }
        self.documents.add(&admission.documents);
        if let Some(key) = &spec.idempotency_key {
            self.namespaces.push(spec.namespace.clone().unwrap_or_default());
            self.keys.push(indexed(key).into_owned());
        }
        if admission.dedup {
            self.fingerprints.push(fingerprint(&spec.fingerprint).1);
        }
    }

    pub(super) fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        if !self.runs.is_empty() {
            steps.push(Step::Query(CURRENT, vec![&self.runs]));
        }
        if !self.keys.is_empty() {
            steps.push(Step::Query(BY_KEY, vec![&self.namespaces, &self.keys]));
        }
        if !self.fingerprints.is_empty() {
            steps.push(Step::Query(BY_FINGERPRINT, vec![&self.fingerprints]));
        }
        steps.extend(self.documents.step());
        if self.admissions > 0 {
            steps.push(Step::Query(RUN_NUMBERS, vec![&self.run_numbers]));
        }
        if self.requests > 0 {
            steps.push(Step::Query(REQUEST_NUMBERS, vec![&self.requests]));
        }
        steps
    }

    /// Reads the answers to [`BatchQuery::steps`].
    pub(super) fn read(&self, answers: Vec<Answer>) -> Result<BatchAnswer, Failure> {
        let mut known = BatchAnswer::default();
        let mut answers = answers.into_iter();
        let mut next = |is_asked: bool| if is_asked { answers.next() } else { None };
        if let Some(answer) = next(!self.runs.is_empty()) {
            known.runs = read_current(&answer)?;
        }
        if let Some(answer) = next(!self.keys.is_empty()) {
            for row in &answer.rows {
                let found = (run_id(row.try_get(0)?)?, row.try_get(1)?);
                known.by_key.insert((row.try_get(2)?, row.try_get(3)?), found);
            }
        }
        if let Some(answer) = next(!self.fingerprints.is_empty()) {
            for row in &answer.rows {
                let newest = run_id(row.try_get(0)?)?;
                known.by_fingerprint.entry(row.try_get(1)?).or_insert(newest);
            }
        }
        if let Some(answer) = next(self.documents.step().is_some()) {
            known.documents = self.documents.read(&answer)?;
        }
        if let Some(answer) = next(self.admissions > 0) {
            known.run_numbers = read_numbers(&answer)?;
        }
        if let Some(answer) = next(self.requests > 0) {
            known.request_numbers = read_numbers(&answer)?;
        }
        Ok(known)
    }
}

/// Reads the answer to [`CURRENT`].
pub(in crate::postgres) fn read_current(
    answer: &Answer,
) -> Result<BTreeMap<String, LockedRun>, Failure> {
    let mut runs = BTreeMap::new();
    for row in &answer.rows {
        let count: i64 = row.try_get(9)?;
        let current = LockedRun {
            run: row.try_get(1)?,
            status: row.try_get(2)?,
            is_over: row.try_get(3)?,
            epoch: number(row.try_get(4)?),
            head: head(row.try_get(5)?, row.try_get(6)?),
            leased: row.try_get::<_, Option<i64>>(7)?.map(number),
            state_seq: row.try_get::<_, Option<i64>>(8)?.map_or(0, number),
            open_requests: u32::try_from(count).unwrap_or(u32::MAX),
        };
        runs.insert(row.try_get(0)?, current);
    }
    Ok(runs)
}

/// Returns true if no other run decides about an admission, and no number has to be drawn under a
/// lock: those of a session follow the order of admission.
pub(super) fn is_plain_admission(admission: &Admission) -> bool {
    let spec = &admission.run.spec;
    let is_alone = spec.idempotency_key.is_none() && !admission.dedup && !admission.redrives;
    is_alone
        && spec.session_turn.is_none()
        && admission.documents.iter().all(|write| write.expect == Expect::Anything)
}

fn read_numbers(answer: &Answer) -> Result<Vec<i64>, Failure> {
    answer.rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

impl BatchAnswer {
    /// Returns an answer of these runs alone, by their ids, with numbers for new runs.
    pub(super) fn expected(runs: BTreeMap<String, LockedRun>, run_numbers: Vec<i64>) -> Self {
        Self { runs, run_numbers, ..Self::default() }
    }

    /// Returns the runs by their ids.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&str, &LockedRun)> {
        self.runs.iter().map(|(run_id, run)| (run_id.as_str(), run))
    }

    /// Returns a run and its standing.
    ///
    /// # Errors
    ///
    /// [`Error::NoRun`], [`Error::Damaged`].
    pub(in crate::postgres) fn run(
        &self,
        run_id: &RunId,
    ) -> Result<(&LockedRun, FenceState), Failure> {
        let Some(current) = self.runs.get(run_id.as_str()) else {
            return Err(Error::NoRun { run_id: run_id.clone() }.into());
        };
        match current.head {
            Some(head) => {
                let LockedRun { epoch, leased, is_over, .. } = *current;
                Ok((current, FenceState { epoch, leased, is_over, head }))
            }
            None => Err(damaged(run_id.as_str(), "its journal's end cannot be read").into()),
        }
    }

    /// Returns the run that used a key, with its fingerprint.
    pub(super) fn by_key(&self, namespace: Option<&str>, key: &str) -> Option<&(RunId, Vec<u8>)> {
        let key = indexed(key).into_owned();
        self.by_key.get(&(namespace.unwrap_or_default().to_owned(), key))
    }

    /// Returns the newest run with that fingerprint that neither failed nor was cancelled.
    pub(super) fn by_fingerprint(&self, fingerprint: &[u8]) -> Option<&RunId> {
        self.by_fingerprint.get(fingerprint)
    }

    /// Refuses changes of documents in an unexpected state.
    pub(super) fn check_documents(&self, writes: &[DocumentWrite]) -> Result<(), Failure> {
        self.documents.check(writes)
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            runs: self.run_numbers.iter().copied().collect(),
            requests: self.request_numbers.iter().copied().collect(),
        }
    }
}
