//! Group commit: changes of journals are gathered while a commit is in progress and committed
//! together.
//!
//! A commit costs a sync of the server's disk, for one change as for a hundred.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::connect::Purpose;
use super::db::Db;
use super::driver::DriverThread;
use super::failure::{Failure, FailureRemedy};
use super::patience::Patience;
use super::write::batch::{BatchTry, Gathered, Outcome, attempt, attempt_expected};
use super::{Postgres, Shared};
use crate::Error;

/// Changes in the queue; callers with further ones wait.
const INBOX_LIMIT: usize = 1024;

/// Changes in one transaction: bounds the first one's wait for the others, and the locks of a
/// transaction.
const BATCH_LIMIT: usize = 128;

/// Locks of one transaction, except for a single change that needs more: the server has a limited
/// number for all its sessions together.
const LOCKS_LIMIT: usize = 1024;

/// After a commit of several changes their callers are about to send the next ones. If fewer than
/// half have arrived, the worker waits once for this long.
const GATHER_FOR: Duration = Duration::from_micros(50);

const DOING: &str = "writes";

/// Handle to the gathering worker.
#[derive(Debug)]
pub(super) struct Coalescer {
    inbox: mpsc::Sender<Gathered>,
}

impl Coalescer {
    pub(super) fn start(shared: &Arc<Shared>, driver: &DriverThread) -> Self {
        let (inbox, messages) = mpsc::channel(INBOX_LIMIT);
        let worker = Worker { shared: Arc::clone(shared), db: None };
        driver.handle().begin(worker.run(messages));
        Self { inbox }
    }
}

impl Postgres {
    /// Has a change gathered and committed, and waits for the result.
    pub(super) async fn gather<T>(
        &self,
        change: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Gathered,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let made = async {
            self.coalescer.inbox.send(change(reply)).await.map_err(|_| Error::WriterGone)?;
            answer.await.map_err(|_| Error::WriterGone)?
        };
        self.observed.during(made).await
    }
}

struct Worker {
    shared: Arc<Shared>,
    db: Option<Db>,
}

impl Worker {
    async fn run(mut self, mut inbox: mpsc::Receiver<Gathered>) {
        let mut waiting = VecDeque::new();
        let mut last_batch = 0;
        loop {
            if waiting.is_empty() {
                match inbox.recv().await {
                    Some(job) => waiting.push_back(job),
                    None => return,
                }
            }
            take_waiting(&mut inbox, &mut waiting);
            if last_batch > 1 && waiting.len() * 2 < last_batch {
                std::thread::sleep(GATHER_FOR);
                take_waiting(&mut inbox, &mut waiting);
            }
            let batch = next_batch(&mut waiting);
            last_batch = batch.len();
            self.commit(batch).await;
        }
    }

    /// Commits changes together; if the database refuses that, each alone.
    async fn commit(&mut self, jobs: Vec<Gathered>) {
        match self.attempt(&jobs).await {
            Ok(outcomes) => self.answer(jobs, outcomes),
            Err(failure) if jobs.len() == 1 || failure.remedy() == FailureRemedy::Reconnect => {
                for job in jobs {
                    job.answer(Err(failure.explain_again(&self.shared.address, DOING)));
                }
            }
            Err(_) => {
                for job in jobs {
                    let alone = vec![job];
                    match self.attempt(&alone).await {
                        Ok(outcomes) => self.answer(alone, outcomes),
                        Err(failure) => {
                            for job in alone {
                                let error = failure.explain_again(&self.shared.address, DOING);
                                job.answer(Err(error));
                            }
                        }
                    }
                }
            }
        }
    }

    fn answer(&self, jobs: Vec<Gathered>, outcomes: Vec<Outcome>) {
        let mut changes = Vec::new();
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            changes.extend(outcome.changes);
            job.answer(outcome.done);
        }
        self.shared.announce(changes);
    }

    /// Tries while trying can help, on one connection after the other.
    async fn attempt(&mut self, jobs: &[Gathered]) -> Result<Vec<Outcome>, Failure> {
        let mut patience = Patience::new();
        loop {
            let tried = self.attempt_once(jobs).await;
            let failure = match tried {
                BatchTry::Committed(outcomes, after) => {
                    self.shared.expected().note(after);
                    return Ok(outcomes);
                }
                BatchTry::Failed(failure) => failure,
                BatchTry::Unknown(mark, outcomes) => {
                    self.db = None;
                    match self.shared.was_committed(&mark).await {
                        Ok(true) => return Ok(outcomes),
                        Ok(false) => continue,
                        Err(failure) => failure,
                    }
                }
            };
            if failure.remedy() == FailureRemedy::Reconnect {
                self.db = None;
            }
            if failure.remedy() == FailureRemedy::Again && jobs.len() > 1 {
                // One of the changes alone may obstruct the others.
                return Err(failure);
            }
            patience.after(failure, &self.shared.driver).await?;
        }
    }

    /// Tries once: at first in one round trip, if the runs are in the expected states.
    async fn attempt_once(&mut self, jobs: &[Gathered]) -> BatchTry {
        if let Err(failure) = self.connection().await {
            return BatchTry::Failed(failure);
        }
        let Some(db) = &self.db else {
            return BatchTry::Failed(Failure::Unexpected("there is no connection"));
        };
        let known = self.shared.expected().of(jobs);
        // Nothing is expected of these runs until the commit is noted.
        self.shared.expected().forget(jobs);
        if let Some(known) = known
            && let Some(tried) = attempt_expected(db, jobs, &known).await
        {
            return tried;
        }
        attempt(db, jobs).await
    }

    async fn connection(&mut self) -> Result<&Db, Failure> {
        if self.db.as_ref().is_none_or(Db::is_closed) {
            self.db = Some(self.shared.connect(Purpose::Write).await?);
        }
        self.db.as_ref().ok_or(Failure::Unexpected("there is no connection"))
    }
}

fn take_waiting(inbox: &mut mpsc::Receiver<Gathered>, waiting: &mut VecDeque<Gathered>) {
    while waiting.len() < INBOX_LIMIT {
        let Ok(job) = inbox.try_recv() else { return };
        waiting.push_back(job);
    }
}

/// Takes the next changes, in order. A change that needs a lock of an earlier one waits for the
/// next batch, and so does any later change that would overtake it.
fn next_batch(waiting: &mut VecDeque<Gathered>) -> Vec<Gathered> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut batch = Vec::new();
    let mut later = VecDeque::new();
    while let Some(job) = waiting.pop_front() {
        let locks = job.locks();
        let has_room = batch.is_empty() || names.len() + locks.len() <= LOCKS_LIMIT;
        let is_free =
            has_room && batch.len() < BATCH_LIMIT && locks.iter().all(|name| !names.contains(name));
        names.extend(locks);
        if is_free {
            batch.push(job);
        } else {
            later.push_back(job);
        }
    }
    *waiting = later;
    batch
}
