//! What can be written: a file and a value for each operation.

mod admit;
mod append;
mod bom;
mod claim;
mod dead_letter;
mod document;
mod import;
mod lease;
mod names;
mod question;
mod reconcile_usage;
mod remove;
mod request;
mod reserve;
mod session;
mod session_events;
mod turn;
mod usage;

pub(super) use admit::{Admit, AdmitHeld, insert};
pub(super) use append::{AppendAndAdmit, AppendAndAdmitAll, AppendAtRest, AppendEvents, put_state};
pub(super) use bom::PutBom;
pub(super) use claim::ClaimRuns;
pub(super) use dead_letter::DiscardDeadLetter;
pub(super) use document::WriteDocuments;
pub(super) use import::Import;
pub(super) use lease::{GiveBack, Renew, Take, put as put_lease};
pub(super) use names::IndexNames;
pub(super) use remove::{Remove, RemoveEnded};
pub(super) use request::Ask;
pub(super) use reserve::{Release, Reserve};
use rusqlite::Connection;
pub(super) use session::{PutSession, RemoveSession};
pub(super) use session_events::{project as project_sessions, session_of};

use super::failure::Failure;
use super::journal::Files;
use crate::Change;

/// A step of the store that writes.
///
/// It may run more than once before it is committed: when a transaction is rolled back because of
/// another operation in it, each is tried again by itself.
pub(super) trait Operation: Send + 'static {
    /// What the caller gets.
    type Output: Send + 'static;

    /// Does it inside a transaction.
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] only while nothing was written yet, [`Failure::Database`] at any time.
    fn run(&self, connection: &Connection) -> Result<Self::Output, Failure>;

    /// After the commit: says which events belong into files. Nothing, for most.
    fn journal(&self, output: &Self::Output, files: &mut Files) {
        let _: (&Self::Output, &mut Files) = (output, files);
    }

    /// After the commit: says what others may want to hear of.
    fn changes(&self, output: &Self::Output) -> Vec<Change> {
        let _: &Self::Output = output;
        Vec::new()
    }
}
