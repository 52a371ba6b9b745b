//! Operations in the hands of the writer thread, whatever their results are.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::failure::Failure;
use super::journal::Files;
use super::write::{Operation, SyncPoint};
use crate::{Error, StoreChange};

/// An operation of any type.
pub(super) trait Job: Send {
    /// Executes the operation inside the transaction, and keeps its result.
    fn run(&mut self, connection: &Connection) -> Result<(), Failure>;
    /// Returns the time at which the commit is synced.
    fn sync_point(&self) -> SyncPoint;
    /// Called after the commit: adds the events for the files.
    fn journal(&self, files: &mut Files);
    /// Called after the commit and the files: returns the changes to announce.
    fn changes(&self) -> Vec<StoreChange>;
    /// Called last: sends the result to the caller.
    fn acknowledge(self: Box<Self>);
    /// Called if nothing was committed: sends the reason to the caller.
    fn fail(self: Box<Self>, error: Error);
}

/// An operation whose caller waits for the result.
pub(super) struct Waiting<O: Operation> {
    operation: O,
    reply: oneshot::Sender<Result<O::Output, Error>>,
    outcome: Option<Result<O::Output, Error>>,
}

impl<O: Operation> Waiting<O> {
    /// Takes an operation, and the way to its caller.
    pub(super) fn new(operation: O, reply: oneshot::Sender<Result<O::Output, Error>>) -> Self {
        Self { operation, reply, outcome: None }
    }
}

impl<O: Operation> Job for Waiting<O> {
    fn run(&mut self, connection: &Connection) -> Result<(), Failure> {
        self.outcome = match self.operation.run(connection) {
            Ok(output) => Some(Ok(output)),
            Err(Failure::Refused(error)) => Some(Err(error)),
            Err(failure) => return Err(failure),
        };
        Ok(())
    }

    fn sync_point(&self) -> SyncPoint {
        self.operation.sync_point()
    }

    fn journal(&self, files: &mut Files) {
        if let Some(Ok(output)) = &self.outcome {
            self.operation.journal(output, files);
        }
    }

    fn changes(&self) -> Vec<StoreChange> {
        match &self.outcome {
            Some(Ok(output)) => self.operation.changes(output),
            Some(Err(_)) | None => Vec::new(),
        }
    }

    fn acknowledge(self: Box<Self>) {
        let outcome = self.outcome.unwrap_or(Err(Error::WriterGone));
        // The caller may have gone.
        drop(self.reply.send(outcome));
    }

    fn fail(self: Box<Self>, error: Error) {
        // As above.
        drop(self.reply.send(Err(error)));
    }
}
