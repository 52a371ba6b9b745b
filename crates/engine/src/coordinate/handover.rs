//! From a run that ended well to the run that carries on what it was to do.

use errand_model::event::TriggerKind;
use errand_model::run::Run;
use serde_json::Value;

/// How often what a run does was handed over before.
pub(crate) fn number(run: &Run) -> u32 {
    let trigger = &run.spec.trigger;
    let payload = trigger.payload.as_ref().filter(|_| trigger.kind == TriggerKind::Upstream);
    let number = payload.and_then(|payload| payload.get("handoff")).and_then(Value::as_u64);
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}
