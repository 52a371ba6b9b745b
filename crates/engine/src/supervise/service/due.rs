//! Wakes that are due: slots of schedules, the heartbeat, requests to listeners and requests of
//! people.

use errand_model::event::{ScheduleSpec, Trigger, TriggerKind, WakeReason};
use errand_model::run::{CallerCommand, WakeService};
use errand_model::schedule::{DueSlots, SkipReason, SlotStep};
use errand_model::{Payload, Timestamp};

use super::ingress::Arrival;
use super::wake::{Reply, Wake, WakeRun, WakeSource};
use super::wakes::Wakes;
use crate::firing::FiredTrigger;
use crate::{Error, payload};

/// The clock that fires a wake.
enum WakeClock<'a> {
    Schedule(&'a ScheduleSpec),
    /// The heartbeat, with its input.
    Heartbeat(Option<Payload>),
}

impl Wakes {
    /// Fires or skips all due slots, and returns when to look again.
    pub(super) async fn fire_due(&mut self) -> Result<Option<Timestamp>, Error> {
        let now = self.engine.now();
        let (schedules, since) = self.journal.look(|run, _| {
            let schedules = run.service.as_ref().map(|s| s.schedules.clone()).unwrap_or_default();
            (schedules, run.created_at)
        });
        let mut next: Option<Timestamp> = None;
        for (index, schedule) in schedules.iter().enumerate() {
            let due = self.parsed[index].due(schedule.settled_until(since), now);
            self.fire_slots(due, &WakeClock::Schedule(&schedule.spec)).await?;
            next = next.into_iter().chain(self.parsed[index].next_after(now)).min();
        }
        let beat = self.fire_heartbeat(now).await?;
        Ok(next.into_iter().chain(beat).min())
    }

    /// Fires the heartbeat if it is due, and returns when the next one is.
    async fn fire_heartbeat(&mut self, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let beat = self.journal.look(|run, _| {
            let spec = run.spec.service.as_ref()?;
            Some((run.next_heartbeat_at()?, spec.interval, spec.heartbeat_input.clone()))
        });
        let Some((due_at, interval, input)) = beat else { return Ok(None) };
        let due = DueSlots::of_heartbeat(due_at, now);
        self.fire_slots(due, &WakeClock::Heartbeat(input)).await?;
        Ok(Some(if due_at <= now { now.plus(interval) } else { due_at }))
    }

    /// Fires and skips due slots. Those that wait are due again when the wake before them ends.
    async fn fire_slots(&mut self, mut due: DueSlots, clock: &WakeClock<'_>) -> Result<(), Error> {
        let source = clock.source();
        while let Some(step) = due.next_step(self.runs_from(&source)) {
            match step {
                SlotStep::Wait => break,
                SlotStep::Skip(skipped) => {
                    let slots = (skipped.slots, skipped.latest);
                    self.skip(&source, slots, clock.skip_text(skipped.reason)).await?;
                }
                SlotStep::Fire(slot) => {
                    let wake = self.wake_of_slot(clock, slot);
                    self.fire(wake).await?;
                }
            }
        }
        Ok(())
    }

    fn wake_of_slot(&self, clock: &WakeClock<'_>, slot: Timestamp) -> Wake {
        let (slot, run) = match clock {
            WakeClock::Schedule(spec) => {
                let which = (spec.id.as_str(), Some(slot));
                let of_slot = |input| FiredTrigger::of_slot(&spec.schedule_expr, which, input);
                (Some(slot), self.input(spec.payload.as_ref()).map(of_slot))
            }
            WakeClock::Heartbeat(input) => {
                let of_beat = |input| {
                    let (kind, source) = (TriggerKind::Schedule, Some("heartbeat".to_owned()));
                    FiredTrigger { trigger: Trigger { kind, source, payload: None }, input }
                };
                (None, self.input(input.as_ref()).map(of_beat))
            }
        };
        Wake { slot, ..Wake::new(clock.source(), WakeRun::New(run)) }
    }

    /// Fires the wake of a request to a listener.
    pub(super) async fn fire_request(&mut self, arrival: Arrival) -> Result<(), Error> {
        let Arrival { listen_addr, request, reply, place } = arrival;
        let document = request.into_payload();
        let facts = serde_json::json!({
            "method": document["method"], "path": document["path"], "remote": document["remote"],
        });
        let input = errand_model::canonical::to_string(&document).into_bytes();
        let run = Ok(FiredTrigger::of_request(&listen_addr, facts, input));
        let source = WakeSource { reason: WakeReason::Ingress, id: Some(listen_addr) };
        let reply = Some(Reply { client: Some(reply), place });
        self.fire(Wake { reply, ..Wake::new(source, WakeRun::New(run)) }).await
    }

    /// Fires the wakes that people requested.
    pub(super) async fn fire_asked(&mut self) -> Result<(), Error> {
        for request in self.engine.store().requests(self.journal.run_id()).await? {
            let CallerCommand::WakeService(asked) = request.command else { continue };
            let WakeService { input, by, wake_run_id: run_id } = asked;
            let trigger = Trigger { kind: TriggerKind::Manual, source: by.clone(), payload: None };
            let run = self.input(input.as_ref()).map(|input| FiredTrigger { trigger, input });
            let source = WakeSource { reason: WakeReason::Manual, id: None };
            let wake = Wake::new(source, WakeRun::New(run));
            self.fire(Wake { answered: vec![request.id], by, run_id, ..wake }).await?;
        }
        Ok(())
    }

    fn input(&self, input: Option<&Payload>) -> Result<Option<Vec<u8>>, Error> {
        Ok(input.map(|input| payload::input_of(&self.engine.blobs(), input)).transpose()?)
    }
}

impl WakeClock<'_> {
    fn source(&self) -> WakeSource {
        match self {
            Self::Schedule(spec) => {
                WakeSource { reason: WakeReason::Schedule, id: Some(spec.id.clone()) }
            }
            Self::Heartbeat(_) => WakeSource { reason: WakeReason::Heartbeat, id: None },
        }
    }

    const fn skip_text(&self, reason: SkipReason) -> &'static str {
        match (self, reason) {
            (_, SkipReason::Missed) => "missed while the service was not there to fire it",
            (Self::Schedule(_), SkipReason::Overlap) => "the wake before it still runs",
            (Self::Heartbeat(_), SkipReason::Overlap) => "the heartbeat before it still runs",
        }
    }
}
