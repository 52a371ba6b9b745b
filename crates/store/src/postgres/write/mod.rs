//! Operations that write in a transaction of their own, one file each; and projections of events in
//! other tables, written in the commit of the events.

pub(super) mod batch;
mod bom;
mod claim;
mod claim_plain;
mod dead_letter;
mod document;
mod import;
mod names;
mod question;
mod remove;
mod remove_ended;
mod renew;
mod reserve;
mod session;
mod session_events;
mod session_results;
mod turn;
mod usage;

use async_trait::async_trait;
pub(super) use bom::PutBom;
pub(super) use claim::ClaimRuns;
pub(super) use dead_letter::{DiscardDeadLetter, check as check_redrive};
use document::{DocumentRows, FoundDocuments, WantedDocuments};
pub(super) use document::{WriteDocuments, check as check_documents, locks as document_locks};
use errand_model::event::Event;
use errand_model::run::Run;
use futures_util::future::{try_join, try_join3};
pub(super) use import::Import;
pub(super) use names::IndexNames;
pub(super) use remove::Remove;
pub(super) use remove_ended::RemoveEnded;
pub(super) use renew::Renew;
pub(super) use reserve::{Release, Reserve};
pub(super) use session::{PutSession, RemoveSession};
pub(super) use turn::{check_admission, check_beginning};
use usage::Added;

use super::db::Db;
use super::failure::Failure;
use crate::StoreChange;

/// A write of the store, in a transaction of its own.
///
/// An operation may run more than once before it is committed.
#[async_trait]
pub(super) trait Operation: Send + Sync + 'static {
    /// Result for the caller.
    type Output: Send + 'static;

    /// Description for errors: "reserves a part of a day".
    const DOING: &'static str;

    /// Returns the names of the locks that the operation needs, in any order. See
    /// [`super::transact`] for names that several operations use.
    fn locks(&self) -> Vec<String>;

    /// Executes the operation inside a transaction.
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] or [`Failure::Database`]: the transaction is rolled back after either.
    async fn run(&self, db: &Db) -> Result<Self::Output, Failure>;

    /// Returns false if the operation changed no row, so that there is nothing to commit.
    fn has_changed(&self, output: &Self::Output) -> bool {
        let _: &Self::Output = output;
        true
    }

    /// Returns the changes to announce after the commit.
    fn changes(&self, output: &Self::Output) -> Vec<StoreChange> {
        let _: &Self::Output = output;
        Vec::new()
    }
}

/// A run whose journal grew in the transaction in progress, by events that are written already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grown<'a> {
    /// Number of the run in this database.
    pub(super) number: i64,
    /// State after `events`.
    pub(super) run: &'a Run,
    /// New events; never empty.
    pub(super) events: &'a [Event],
    /// True if this transaction admitted the run: `events` is its whole journal.
    pub(super) is_new: bool,
}

impl Grown<'_> {
    /// Returns true if the events concern any other table. Most commits do not, and skip the
    /// queries.
    pub(super) fn has_projections(&self) -> bool {
        const PREFIXES: [&str; 5] = ["session.", "approval.", "input.", "bom.", "attempt."];
        const TYPES: [&str; 5] =
            ["model.called", "tool.called", "run.dead_lettered", "run.completed", "run.failed"];
        let spec = &self.run.spec;
        spec.session_turn.is_some()
            || (self.is_new && spec.origin_run_id.is_some())
            || self.run.status.is_terminal()
            || self.events.iter().any(|event| {
                let kind = event.kind.as_str();
                TYPES.contains(&kind) || PREFIXES.iter().any(|prefix| kind.starts_with(prefix))
            })
    }

    /// Returns true if no query is needed to write the events and their projections.
    pub(super) fn needs_no_query(&self) -> bool {
        !self.has_projections() || self.adds_only_use()
    }

    /// Returns true if the events change no table other than those of use, and the sums of use
    /// follow from the events alone.
    fn adds_only_use(&self) -> bool {
        const PREFIXES: [&str; 4] = ["session.", "approval.", "input.", "bom."];
        let (run, spec) = (self.run, &self.run.spec);
        let is_plain = spec.session_turn.is_none()
            && !(self.is_new && spec.origin_run_id.is_some())
            && run.approvals.is_empty()
            && run.inputs.is_empty();
        // A run with limits is reconciled with its journal at its end; working time of earlier
        // attempts was counted with their ends.
        let is_counted =
            (spec.budgets.is_unlimited() || !run.status.is_terminal()) && run.attempts.len() <= 1;
        is_plain
            && is_counted
            && !self.events.iter().any(|event| {
                let kind = event.kind.as_str();
                kind == "run.dead_lettered"
                    || PREFIXES.iter().any(|prefix| kind.starts_with(prefix))
            })
    }
}

/// Writes the projections of events in other tables. Each handles all runs at once, and sends
/// nothing if there is nothing to write.
pub(super) async fn project(db: &Db, grown: &[Grown<'_>]) -> Result<(), Failure> {
    let grown: Vec<Grown<'_>> = grown.iter().copied().filter(Grown::has_projections).collect();
    if grown.is_empty() {
        return Ok(());
    }
    // Each projection has its own tables: they need not wait for each other.
    let journals = try_join3(
        usage::project(db, &grown),
        session_events::project(db, &grown),
        turn::project(db, &grown),
    );
    let listed = try_join3(
        question::project(db, &grown),
        dead_letter::project(db, &grown),
        bom::project(db, &grown),
    );
    try_join(journals, listed).await.map(drop)
}
