//! Reports that follow from events, written in the commit of those events.

use errand_model::Event;
use errand_model::callback::{CallbackEvent, reported};
use errand_model::run::Run;
use errand_store::{DocumentWrite, Expect};
use serde_json::{Value, json};

use super::entry::{EntryState, OutboxEntry};

/// Returns the reports of `events`, for the commit that appends them; `run` is the run after them.
///
/// Every writer of a journal calls this, so that no event is without its report.
pub fn documents(run: &Run, events: &[Event]) -> Vec<DocumentWrite> {
    let Some(url) = &run.spec.callback_url else { return Vec::new() };
    let of = |event: &Event| {
        let what = reported(&run.spec, &event.body().ok()?)?;
        let entry = OutboxEntry {
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
            alias: None,
        };
        // The event exists once, and so does its report: no revision is expected, so that a report
        // can never block its event.
        Some(entry.write(run.spec.namespace.as_deref(), Expect::Anything, Some(event.at)))
    };
    events.iter().filter_map(of).collect()
}

/// Returns the report of a run that is not over: its identity, its status and the event.
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
