//! The wakes of a service.

use serde::{Deserialize, Serialize};

use super::{Decision, Rejection, Run};
use crate::event::{EventBody, ListenerBound, RunKind, WakeEnded, WakeFired, WakeSkipped};
use crate::{Payload, RunId};

/// Command of a caller: wake a service now.
///
/// The service's supervisor answers it with [`FireWake`], in the commit that admits the wake's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WakeService {
    /// Input of the wake's run; `None`: none, as at a heartbeat.
    pub input: Option<Payload>,
    /// Name of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Id for the wake's run, by which the caller finds it; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_run_id: Option<RunId>,
}

/// A listener of the service has its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindListener {
    /// The attempt of the service.
    pub attempt: u32,
    /// The listener and its address.
    pub bound: ListenerBound,
}

/// A wake becomes a run, admitted in the same commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FireWake {
    /// The attempt of the service.
    pub attempt: u32,
    /// The wake.
    pub fired: WakeFired,
    /// The interrupted wake that this one takes up.
    pub takes_up: Option<WakeEnded>,
}

/// The run of a wake is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndWake {
    /// The attempt of the service.
    pub attempt: u32,
    /// End of the wake.
    pub ended: WakeEnded,
}

/// A due wake is not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkipWake {
    /// The attempt of the service.
    pub attempt: u32,
    /// Skipped slots.
    pub skipped: WakeSkipped,
}

impl Run {
    /// Checks that the run is a service that fires wakes now; records nothing.
    pub(super) fn wake_service(&self) -> Result<Decision, Rejection> {
        let refused = |reason| Err(Rejection::NotWoken { run_id: self.id.clone(), reason });
        if self.spec.kind != RunKind::Service {
            return refused("is no service: only those have wakes");
        }
        if self.status.is_terminal() {
            return Err(self.terminal());
        }
        if self.cancel_requested.is_some() {
            return refused("is being stopped");
        }
        if self.is_held() {
            return refused("is paused: `errand resume` lets it go on");
        }
        Ok(Decision::NOTHING)
    }

    pub(super) fn bind_listener(&self, bind: &BindListener) -> Result<Decision, Rejection> {
        self.check_service(bind.attempt)?;
        Ok(Decision::record(vec![EventBody::ListenerBound(bind.bound.clone())]))
    }

    /// A slot that was fired or skipped already is not fired again: nothing is recorded.
    pub(super) fn fire_wake(&self, fire: &FireWake) -> Result<Decision, Rejection> {
        self.check_service(fire.attempt)?;
        if self.cancel_requested.is_some() {
            return Err(self.not_now("wake, since it is being stopped"));
        }
        if let Some(slot) = fire.fired.slot_ms {
            let source = fire.fired.source.as_deref();
            let schedules = self.service.iter().flat_map(|service| &service.schedules);
            let last_slot = schedules
                .filter(|schedule| Some(schedule.spec.id.as_str()) == source)
                .find_map(|schedule| schedule.last_slot_at);
            if last_slot.is_some_and(|last| slot <= last) {
                return Ok(Decision::NOTHING);
            }
        }
        let mut events = vec![EventBody::WakeFired(fire.fired.clone())];
        if let Some(interrupted) = &fire.takes_up {
            if !self.is_wake_under_way(&interrupted.run_id) {
                return Ok(Decision::NOTHING);
            }
            events.push(EventBody::WakeEnded(interrupted.clone()));
        }
        Ok(Decision::record(events))
    }

    /// The end of a wake is recorded once.
    pub(super) fn end_wake(&self, end: &EndWake) -> Result<Decision, Rejection> {
        self.check_service(end.attempt)?;
        if !self.is_wake_under_way(&end.ended.run_id) {
            return Ok(Decision::NOTHING);
        }
        Ok(Decision::record(vec![EventBody::WakeEnded(end.ended.clone())]))
    }

    fn is_wake_under_way(&self, run_id: &RunId) -> bool {
        self.service.as_ref().is_some_and(|it| it.under_way.contains_key(run_id.as_str()))
    }

    pub(super) fn skip_wake(&self, skip: &SkipWake) -> Result<Decision, Rejection> {
        self.check_service(skip.attempt)?;
        Ok(Decision::record(vec![EventBody::WakeSkipped(skip.skipped.clone())]))
    }

    fn check_service(&self, attempt: u32) -> Result<(), Rejection> {
        if self.service.is_none() {
            return Err(Rejection::NotAService { run_id: self.id.clone() });
        }
        self.check_attempt(attempt).map(|_| ())
    }
}
