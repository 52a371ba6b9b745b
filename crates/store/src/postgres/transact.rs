//! Single transactions: locks, then the operation, then the commit.
//!
//! If the connection breaks during the commit, the outcome is unknown to the client. PostgreSQL
//! knows it: the next connection asks for the transaction by its number.

use std::sync::Arc;

use futures_util::future::join;

use super::db::{Db, Step};
use super::failure::{Failure, FailureRemedy};
use super::lock::LOCK;
use super::mark::{EndSign, MARK, Mark};
use super::patience::Patience;
use super::write::Operation;
use super::{Postgres, Shared};
use crate::Error;

/// Query for the status of a transaction.
const STATUS: &str = "SELECT pg_xact_status($1::text::xid8)";

/// Query for the commit of a transaction with that mark.
const IS_MARKED: &str = "SELECT EXISTS (SELECT 1 FROM commits WHERE mark = $1)";

/// Result of a try.
enum Tried<T> {
    /// The transaction was committed, or had changed nothing.
    Committed(T),
    /// The transaction was rolled back.
    Failed(Failure),
    /// The connection broke during the commit.
    Unknown(Mark, T),
}

impl Postgres {
    /// Executes and commits an operation, as [`Shared::write`].
    pub(super) async fn write<O: Operation>(&self, operation: O) -> Result<O::Output, Error> {
        self.observed.during(self.shared.write(operation)).await
    }
}

impl Shared {
    /// Executes and commits an operation on the driver's thread, and waits for that.
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
                            failure.remedy() != FailureRemedy::Reconnect
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
        if operation.has_changed(&output) {
            self.announce(operation.changes(&output));
        }
        output
    }

    /// Returns true if a transaction whose connection broke was committed; waits until that is
    /// known.
    pub(super) async fn was_committed(self: &Arc<Self>, mark: &Mark) -> Result<bool, Failure> {
        let mut patience = Patience::new();
        loop {
            // Any connection will do, and one for queries may have survived.
            let asked = match self.reading().await {
                Ok(db) => became(&db, mark).await,
                Err(failure) => Err(failure),
            };
            let failure = match asked {
                Ok(Some(is_committed)) => return Ok(is_committed),
                // The server has not noticed the broken connection yet.
                Ok(None) => Failure::Unexpected("a transaction of a lost connection goes on"),
                Err(failure) => failure,
            };
            patience.after(failure, &self.driver).await?;
        }
    }
}

/// Returns true if a transaction was committed; `None`: it is in progress.
async fn became(db: &Db, mark: &Mark) -> Result<Option<bool>, Failure> {
    match &mark.end {
        EndSign::Number(number) => match db.query_first(STATUS, &[number]).await {
            Ok(row) => {
                let status: Option<String> = row.map_or(Ok(None), |row| row.try_get(0))?;
                if status.as_deref() == Some("in progress") {
                    return Ok(None);
                }
            }
            // After a crash the server has not reached this number: the transaction is lost.
            Err(failure) if failure.is_out_of_range() => {}
            Err(failure) => return Err(failure),
        },
        // Waits until the transaction releases them.
        EndSign::Locks(names) => drop(db.query(LOCK, &[names]).await?),
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
    // The operation's first query is sent behind the beginning, and answered after it.
    let (begun, output) = join(db.pipeline(&begin), operation.run(db)).await;
    let mark = match begun.and_then(|begun| Mark::read(drawn, begun.get(1))) {
        Ok(mark) => mark,
        Err(failure) => return Tried::Failed(failure),
    };
    let output = match output {
        Ok(output) => output,
        Err(failure) => return Tried::Failed(failure),
    };
    if !operation.has_changed(&output) {
        // A commit would wait for the server's disk.
        return match db.batch("ROLLBACK").await {
            Ok(()) => Tried::Committed(output),
            Err(failure) => Tried::Failed(failure),
        };
    }
    match db.batch("COMMIT").await {
        Ok(()) => Tried::Committed(output),
        Err(failure) if failure.remedy() == FailureRemedy::Reconnect => {
            Tried::Unknown(mark, output)
        }
        Err(failure) => Tried::Failed(failure),
    }
}
