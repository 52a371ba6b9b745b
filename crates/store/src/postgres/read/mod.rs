//! Queries: functions on a connection.
//!
//! Each query is one statement where possible, so that it reads one state. A query of several
//! statements starts again if the run was removed between them.

mod bom;
mod dead_letter;
mod document;
mod ended;
mod evidence;
mod find;
mod lease;
mod list;
mod load;
mod names;
mod question;
mod session;
mod usage;
mod waiting;

pub(super) use bom::boms;
pub(super) use dead_letter::{dead_letter, dead_letters};
pub(super) use document::{document, documents, due_documents};
pub(super) use ended::ended;
pub(super) use evidence::{evidence, run_ids, scan};
pub(super) use find::find;
pub(super) use lease::{asked, expired, has_due, is_any_ready, requests, unqueued};
pub(super) use list::list;
pub(super) use load::{COLUMNS, Range, events_after, fold_rows, load, load_numbers, steps};
pub(super) use names::{named, named_elsewhere, named_parcels, names_of_run};
pub(super) use question::questions;
pub(super) use session::{
    session, session_length, session_messages, session_result, session_results, session_rollbacks,
    session_summary, sessions, turn,
};
pub(super) use usage::{day_standing, usage};
pub(super) use waiting::{standing, waiting};

use errand_model::event::RunKind;

use super::conditions::Conditions;
use crate::Namespaces;

/// Returns the word under which a kind is stored.
pub(super) const fn kind_name(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Job => "job",
        RunKind::Heartbeat => "heartbeat",
        RunKind::Service => "service",
    }
}

/// Adds the condition that a run (as `r`) is in one of the namespaces.
fn in_namespaces(all: &mut Conditions, namespaces: &Namespaces) {
    match namespaces {
        Namespaces::All => {}
        Namespaces::One(None) => all.also("r.namespace IS NULL"),
        Namespaces::One(Some(namespace)) => all.with_text("r.namespace = ?", namespace),
    }
}
