//! What can be written by a transaction of its own, a file and a value for each operation; and what
//! follows from events in other tables, which the commit that adds the events writes too.

mod bom;
mod claim;
mod dead_letter;
mod document;
mod import;
mod names;
mod question;
mod reconcile_usage;
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
pub(super) use document::{
    WriteDocuments, check as check_documents, locks as document_locks, write as write_documents,
};
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

use super::db::Db;
use super::failure::Failure;
use crate::Change;

/// A step of the store that writes, in a transaction of its own.
///
/// It may run more than once before it is committed.
#[async_trait]
pub(super) trait Operation: Send + Sync + 'static {
    /// What the caller gets.
    type Output: Send + 'static;

    /// What it does, for errors: "reserves a part of a day".
    const DOING: &'static str;

    /// The names of the locks that it needs, in any order: they are held when it runs. See
    /// [`super::transact`] for names that others use too.
    fn locks(&self) -> Vec<String>;

    /// Does it inside a transaction.
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] or [`Failure::Database`]: nothing is kept after either.
    async fn run(&self, db: &Db) -> Result<Self::Output, Failure>;

    /// After the commit: says what others may want to hear of.
    fn changes(&self, output: &Self::Output) -> Vec<Change> {
        let _: &Self::Output = output;
        Vec::new()
    }
}

/// A run whose journal grew in the transaction under way, by events that are written already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grown<'a> {
    /// Its number in this database.
    pub(super) number: i64,
    /// As it is after `events`.
    pub(super) run: &'a Run,
    /// Never empty.
    pub(super) events: &'a [Event],
    /// Whether it was admitted by this transaction: `events` is its whole journal.
    pub(super) is_new: bool,
}

impl Grown<'_> {
    /// Whether any other table has something of these events. Most commits have nothing of the
    /// kind, and are spared the questions.
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
}

/// Writes what follows from events in other tables. Each part looks at all runs at once, and sends
/// nothing where it has nothing to do.
pub(super) async fn project(db: &Db, grown: &[Grown<'_>]) -> Result<(), Failure> {
    let grown: Vec<Grown<'_>> = grown.iter().copied().filter(Grown::has_projections).collect();
    if grown.is_empty() {
        return Ok(());
    }
    // Each part has tables of its own: they need not wait for each other.
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
