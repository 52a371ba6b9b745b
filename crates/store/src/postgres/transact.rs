//! A transaction of its own: locks, then what is to be done, then the commit.
//!
//! Where the connection breaks while the commit is under way, nobody heard whether it was made.
//! PostgreSQL knows: the next connection asks for the transaction by its number.

use std::sync::Arc;

use futures_util::future::join;

use super::Shared;
use super::db::{Answer, Db, Step};
use super::failure::{Failure, Remedy};
use super::patience::Patience;
use super::text::indexed;
use super::write::Operation;
use crate::Error;

/// Takes locks by name, in the order of the names; they end with the transaction.
pub(super) const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest($1::text[]) AS name";

/// Gives the transaction its mark, by which it is found again if it was committed, and its number.
pub(super) const MARK: &str = "INSERT INTO commits (mark, ring) \
     SELECT $1, current FROM rings WHERE name = 'commits' RETURNING pg_current_xact_id()::text";

/// Whether a transaction is under way.
const STATUS: &str = "SELECT pg_xact_status($1::text::xid8)";

/// Whether a transaction with that mark was committed.
const IS_MARKED: &str = "SELECT EXISTS (SELECT 1 FROM commits WHERE mark = $1)";

/// A transaction, for whoever asks later what became of it.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// Chance makes it the only one of its kind.
    pub(super) mark: i64,
    /// Its number. After a crash of the server another one may have it.
    pub(super) number: String,
}

impl Mark {
    /// A new mark.
    pub(super) fn draw() -> Result<i64, Failure> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|_| Failure::Unexpected("there is no chance"))?;
        Ok(i64::from_le_bytes(bytes))
    }

    /// What [`MARK`] was answered.
    pub(super) fn read(mark: i64, answer: Option<&Answer>) -> Result<Self, Failure> {
        let number = answer.and_then(|answer| answer.rows.first()?.try_get(0).ok());
        let number = number.ok_or(Failure::Unexpected("a transaction has no number"))?;
        Ok(Self { mark, number })
    }
}

/// What a try came to.
enum Tried<T> {
    Committed(T),
    /// Nothing of it was kept.
    Failed(Failure),
    /// The connection broke while the commit was under way.
    Unknown(Mark, T),
}

impl Shared {
    /// Has an operation done and committed, on the driver's thread, and waits for that.
    pub(super) async fn write<O: Operation>(
        self: &Arc<Self>,
        operation: O,
    ) -> Result<O::Output, Error> {
        let shared = Arc::clone(self);
        let done = self.driver.run(async move { shared.transact(&operation).await }).await;
        match done {
            Ok(outcome) => outcome,
            Err(failure) => Err(failure.explain(&self.address, O::DOING)),
        }
    }

    async fn transact<O: Operation>(self: &Arc<Self>, operation: &O) -> Result<O::Output, Error> {
        let mut patience = Patience::new();
        loop {
            let tried = match self.writing().await {
                Ok(writing) => {
                    let tried = attempt(&writing.db, operation).await;
                    let is_settled = match &tried {
                        Tried::Committed(_) => true,
                        Tried::Failed(failure) => {
                            failure.remedy() != Remedy::Reconnect
                                && writing.db.batch("ROLLBACK").await.is_ok()
                        }
                        Tried::Unknown(..) => false,
                    };
                    if is_settled {
                        self.pool.put(writing.db);
                    }
                    tried
                }
                Err(failure) => Tried::Failed(failure),
            };
            let failure = match tried {
                Tried::Committed(output) => return Ok(self.tell(operation, output)),
                Tried::Failed(failure) => failure,
                Tried::Unknown(mark, output) => match self.was_committed(&mark).await {
                    Ok(true) => return Ok(self.tell(operation, output)),
                    Ok(false) => continue,
                    Err(failure) => failure,
                },
            };
            if let Err(failure) = patience.after(failure, &self.driver).await {
                return Err(failure.explain(&self.address, O::DOING));
            }
        }
    }

    fn tell<O: Operation>(&self, operation: &O, output: O::Output) -> O::Output {
        self.announce(operation.changes(&output));
        output
    }

    /// Whether a transaction was committed whose connection broke; waits until that is known.
    pub(super) async fn was_committed(self: &Arc<Self>, mark: &Mark) -> Result<bool, Failure> {
        let mut patience = Patience::new();
        loop {
            // Any connection will do, and one for questions may have survived.
            let asked = match self.reading().await {
                Ok(db) => became(&db, mark).await,
                Err(failure) => Err(failure),
            };
            let failure = match asked {
                Ok(Some(is_committed)) => return Ok(is_committed),
                // The server has not noticed yet that nobody is there any more.
                Ok(None) => Failure::Unexpected("a transaction of a lost connection goes on"),
                Err(failure) => failure,
            };
            patience.after(failure, &self.driver).await?;
        }
    }
}

/// What became of a transaction; `None`: it is under way.
async fn became(db: &Db, mark: &Mark) -> Result<Option<bool>, Failure> {
    match db.query_first(STATUS, &[&mark.number]).await {
        Ok(row) => {
            let status: Option<String> = row.map_or(Ok(None), |row| row.try_get(0))?;
            if status.as_deref() == Some("in progress") {
                return Ok(None);
            }
        }
        // After a crash: so many transactions there were not, it is gone.
        Err(failure) if failure.is_out_of_range() => {}
        Err(failure) => return Err(failure),
    }
    let row = db.query_first(IS_MARKED, &[&mark.mark]).await?;
    Ok(Some(row.map_or(Ok(false), |row| row.try_get(0))?))
}

async fn attempt<O: Operation>(db: &Db, operation: &O) -> Tried<O::Output> {
    let mut names = operation.locks();
    names.sort();
    names.dedup();
    let drawn = match Mark::draw() {
        Ok(drawn) => drawn,
        Err(failure) => return Tried::Failed(failure),
    };
    let mut begin = vec![Step::Plain("BEGIN"), Step::Query(MARK, vec![&drawn])];
    if !names.is_empty() {
        begin.push(Step::Query(LOCK, vec![&names]));
    }
    if let Err(failure) = db.prepare(&begin).await {
        return Tried::Failed(failure);
    }
    // What the operation asks first goes behind the beginning, and is answered after it.
    let (begun, output) = join(db.pipeline(&begin), operation.run(db)).await;
    let mark = match begun.and_then(|begun| Mark::read(drawn, begun.get(1))) {
        Ok(mark) => mark,
        Err(failure) => return Tried::Failed(failure),
    };
    let output = match output {
        Ok(output) => output,
        Err(failure) => return Tried::Failed(failure),
    };
    match db.batch("COMMIT").await {
        Ok(()) => Tried::Committed(output),
        Err(failure) if failure.remedy() == Remedy::Reconnect => Tried::Unknown(mark, output),
        Err(failure) => Tried::Failed(failure),
    }
}

/// The name of the lock on a run.
pub(super) fn run_lock(run_id: &errand_model::RunId) -> String {
    run_id.as_str().to_owned()
}

/// The name of the lock on a session's turns and history.
pub(super) fn session_lock(session_id: &str) -> String {
    format!("session {}", indexed(session_id))
}

/// The name of the lock on an agent's day.
pub(super) fn day_lock(agent: &str) -> String {
    format!("day {}", indexed(agent))
}

/// The name of the lock on an idempotency key.
pub(super) fn key_lock(namespace: Option<&str>, key: &str) -> String {
    format!("key {}/{}", namespace.unwrap_or_default(), indexed(key))
}
