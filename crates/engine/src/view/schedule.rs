//! Schedules.

use errand_api::gateway::schedule::{Schedule, ScheduleRequest, ScheduleSlot};
use errand_model::Timestamp;

use crate::schedules::{Fired, ScheduleDefinition, ScheduleView};

/// Returns the document of a schedule.
pub fn schedule(view: ScheduleView) -> Schedule {
    let ms = Timestamp::as_millis;
    let slot = |fired: Fired| ScheduleSlot {
        slot_ms: fired.slot_ms.map(ms),
        at_ms: fired.at_ms.as_millis(),
        run_id: fired.run_id,
        skipped: fired.skipped,
        slots: fired.slots,
    };
    let definition = view.definition;
    Schedule {
        name: view.name,
        agent: definition.agent,
        cron: definition.cron,
        timezone: definition.timezone,
        input: definition.input,
        missed: definition.missed.into(),
        overlap: definition.overlap.into(),
        labels: definition.labels,
        session_id: definition.session_id,
        enabled: definition.enabled,
        created_at_ms: view.created_at_ms.as_millis(),
        last_slot_at_ms: view.last_slot_at_ms.map(ms),
        last_run_id: view.last_run_id,
        next_fires_ms: view.next_fires_ms.into_iter().map(ms).collect(),
        recent: view.recent.into_iter().map(slot).collect(),
    }
}

/// Returns the definition in a request to make a schedule, with defaults filled in.
pub fn schedule_definition(request: ScheduleRequest) -> ScheduleDefinition {
    ScheduleDefinition {
        agent: request.agent,
        cron: request.cron,
        timezone: request.timezone.unwrap_or_else(|| "UTC".to_owned()),
        input: request.input,
        missed: request.missed.unwrap_or_default().into(),
        overlap: request.overlap.unwrap_or_default().into(),
        labels: request.labels,
        session_id: request.session_id,
        enabled: request.enabled.unwrap_or(true),
    }
}
