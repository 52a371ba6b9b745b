//! Which reports follow from events: written in the commit of those events.

use errand_model::Event;
use errand_model::callback::{CallbackEvent, reported};
use errand_model::run::Run;
use errand_store::{DocumentWrite, Expect};
use serde_json::{Value, json};

use super::entry::{Entry, EntryState};

/// The reports of `events`, for the commit that appends them; `run` is the run after them.
///
/// Everything that appends to a journal calls it: no event is then without its report.
pub fn documents(run: &Run, events: &[Event]) -> Vec<DocumentWrite> {
    let Some(url) = &run.spec.callback_url else { return Vec::new() };
    let of = |event: &Event| {
        let what = reported(&run.spec, &event.body().ok()?)?;
        let entry = Entry {
            run_id: run.id.clone(),
            seq: event.seq,
            event: what,
            at: event.at,
            url: url.clone(),
            data: (!what.is_terminal()).then(|| going_on(run, what, event)),
            tries: 0,
            tries_before: 0,
            state: EntryState::Waiting,
            note: None,
        };
        // The event is there once, and so is its report: nothing may keep an event from being
        // written.
        Some(entry.write(run.spec.namespace.as_deref(), Expect::Anything, Some(event.at)))
    };
    events.iter().filter_map(of).collect()
}

/// What is reported of a run that goes on: who it is, how it stood, and what happened.
fn going_on(run: &Run, what: CallbackEvent, event: &Event) -> Value {
    let happened: Value = serde_json::from_str(&event.data).unwrap_or_default();
    let member = match what {
        CallbackEvent::ApprovalRequested => "approval",
        CallbackEvent::InputRequested => "input_request",
        CallbackEvent::Paused
        | CallbackEvent::Completed
        | CallbackEvent::Failed
        | CallbackEvent::Cancelled => "pause",
    };
    json!({
        "run_id": run.id,
        "name": run.spec.name,
        "kind": run.spec.kind,
        "status": run.status.name(),
        "agent": run.spec.agent,
        "labels": run.spec.labels,
        "attempt": run.last_attempt_number(),
        "created_at_ms": run.created_at,
        member: happened,
    })
}
