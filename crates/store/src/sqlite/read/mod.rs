//! Queries: functions on a connection whose transaction reads one state.

mod bom;
mod dead_letter;
mod document;
mod evidence;
mod list;
mod load;
mod lookup;
mod names;
mod question;
mod session;
mod usage;
mod waiting;

pub(super) use bom::boms;
pub(super) use dead_letter::{dead_letter, dead_letters};
pub(super) use document::{document, documents, due_documents};
pub(super) use evidence::{evidence, run_ids, scan};
pub(super) use list::list;
pub(super) use load::{Range, event_of, events_after, load, load_number, session_events, steps};
pub(super) use lookup::{asked, ended, expired, find, has_due, requests, unqueued};
pub(super) use names::{named, named_elsewhere, named_parcels, names_of_run};
pub(super) use question::questions;
pub(super) use session::{
    session, session_length, session_messages, session_result, session_results, session_rollbacks,
    session_summary, sessions, turn,
};
pub(super) use usage::{day_standing, usage};
pub(super) use waiting::{standing, waiting};

use errand_model::event::RunKind;

use crate::Namespaces;

/// Returns the word under which a kind is stored.
pub(super) const fn kind_name(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Job => "job",
        RunKind::Heartbeat => "heartbeat",
        RunKind::Service => "service",
    }
}

/// Returns the condition that a run (as `r`) is in one of the namespaces, and its value.
pub(super) fn in_namespaces(namespaces: &Namespaces) -> Option<(&'static str, Option<String>)> {
    match namespaces {
        Namespaces::All => None,
        Namespaces::One(None) => Some(("r.namespace IS ?", None)),
        Namespaces::One(Some(namespace)) => Some(("r.namespace = ?", Some(namespace.clone()))),
    }
}
