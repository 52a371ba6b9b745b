//! Operations that write, one file each.

mod admit;
mod append;
mod bom;
mod claim;
mod dead_letter;
mod document;
mod events;
mod import;
mod lease;
mod names;
mod question;
mod remove;
mod request;
mod reserve;
mod session;
mod session_events;
mod turn;
mod usage;

pub(super) use admit::{Admit, AdmitHeld, insert};
pub(super) use append::{AppendAndAdmit, AppendAndAdmitAll, AppendAtRest, AppendEvents};
pub(super) use bom::PutBom;
pub(super) use claim::ClaimRuns;
pub(super) use dead_letter::DiscardDeadLetter;
pub(super) use document::WriteDocuments;
pub(super) use events::put_state;
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
use crate::StoreChange;

/// Time at which a commit is synced. A commit that is not durable yet is never lost alone, but with
/// all later ones and with all processes of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SyncPoint {
    /// With a later commit, since no caller relies on this one after a loss of power.
    WithLaterCommit,
    /// Before the caller is answered, while other processes may read it and commit already.
    BeforeAnswer,
    /// Before any process can read it.
    BeforeVisible,
}

/// A write of the store.
///
/// An operation may run more than once before it is committed: if a transaction is rolled back
/// because of one operation, each is tried again alone.
pub(super) trait Operation: Send + 'static {
    /// Result for the caller.
    type Output: Send + 'static;

    /// Executes the operation inside a transaction.
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] only before anything is written, [`Failure::Database`] at any time.
    fn run(&self, connection: &Connection) -> Result<Self::Output, Failure>;

    /// Returns the time at which the commit is synced.
    fn sync_point(&self) -> SyncPoint {
        SyncPoint::BeforeVisible
    }

    /// Called after the commit: adds events to the files; none by default.
    fn journal(&self, output: &Self::Output, files: &mut Files) {
        let _: (&Self::Output, &mut Files) = (output, files);
    }

    /// Called after the commit: returns the changes to announce.
    fn changes(&self, output: &Self::Output) -> Vec<StoreChange> {
        let _: &Self::Output = output;
        Vec::new()
    }
}
