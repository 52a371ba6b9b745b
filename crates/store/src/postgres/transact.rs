//! A transaction of its own: locks, then what is to be done, then the commit.
//!
//! Where the connection breaks while the commit is under way, nobody heard whether it was made.
//! PostgreSQL knows: the next connection asks for the transaction by its number.

use std::sync::Arc;

use super::Shared;
use super::connect::Purpose;
use super::db::{Db, Step};
use super::failure::{Failure, Remedy};
use super::patience::Patience;
use super::text::indexed;
use super::write::Operation;
use crate::Error;

/// Takes locks by name, in the order of the names; they end with the transaction.
pub(super) const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest($1::text[]) AS name";

/// Gives the transaction its number.
pub(super) const NUMBER: &str = "SELECT pg_current_xact_id()::text";

/// What has become of a transaction.
const STATUS: &str = "SELECT pg_xact_status($1::text::xid8)";

/// What a try came to.
enum Tried<T> {
    Committed(T),
    /// Nothing of it was kept.
    Failed(Failure),
    /// The connection broke while the commit was under way.
    Unknown(String, T),
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

    async fn transact<O: Operation>(&self, operation: &O) -> Result<O::Output, Error> {
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
                Tried::Unknown(number, output) => match self.was_committed(&number).await {
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

    /// Whether the transaction of that number was committed; waits until that is known.
    pub(super) async fn was_committed(&self, number: &str) -> Result<bool, Failure> {
        let mut patience = Patience::new();
        loop {
            let asked = match self.connect(Purpose::Write).await {
                Ok(db) => status(&db, number).await,
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

async fn status(db: &Db, number: &str) -> Result<Option<bool>, Failure> {
    let Some(row) = db.query_first(STATUS, &[&number]).await? else { return Ok(Some(false)) };
    let status: Option<&str> = row.try_get(0)?;
    Ok(match status {
        Some("committed") => Some(true),
        Some("in progress") => None,
        Some(_) | None => Some(false),
    })
}

async fn attempt<O: Operation>(db: &Db, operation: &O) -> Tried<O::Output> {
    let mut names = operation.locks();
    names.sort();
    names.dedup();
    let mut begin = vec![Step::Plain("BEGIN"), Step::Query(NUMBER, Vec::new())];
    if !names.is_empty() {
        begin.push(Step::Query(LOCK, vec![&names]));
    }
    let begun = match db.pipeline(&begin).await {
        Ok(begun) => begun,
        Err(failure) => return Tried::Failed(failure),
    };
    let number = begun.get(1).and_then(|answer| answer.rows.first()?.try_get(0).ok());
    let Some(number): Option<String> = number else {
        return Tried::Failed(Failure::Unexpected("a transaction has no number"));
    };
    let output = match operation.run(db).await {
        Ok(output) => output,
        Err(failure) => return Tried::Failed(failure),
    };
    match db.batch("COMMIT").await {
        Ok(()) => Tried::Committed(output),
        Err(failure) if failure.remedy() == Remedy::Reconnect => Tried::Unknown(number, output),
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
