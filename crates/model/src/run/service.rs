//! The fold of a service: schedules, listeners, wakes, and what the wakes used.

use super::{Run, Service, SessionListener, SessionSchedule};
use crate::Timestamp;
use crate::event::{ServiceEvent, ServiceSpec, WakeEnded, WakeFired, WakeReason, WakeSkipped};

pub(super) fn new_service(spec: &ServiceSpec) -> Service {
    let schedule = |spec: &crate::event::ScheduleSpec| SessionSchedule {
        spec: spec.clone(),
        last_slot_at: spec.settled_until,
        last_fired_at: None,
    };
    let listener = |spec: &crate::event::ListenerSpec| SessionListener {
        listen_addr: spec.listen_addr.clone(),
        bound_addr: None,
        requests_handled: 0,
        last_request_at: None,
    };
    Service {
        schedules: spec.schedules.iter().map(schedule).collect(),
        listeners: spec.listeners.iter().map(listener).collect(),
        ..Service::default()
    }
}

impl Run {
    pub(super) fn apply_service(&mut self, at: Timestamp, event: ServiceEvent<'_>) {
        let Some(service) = &mut self.service else { return };
        match event {
            ServiceEvent::ListenerBound(bound) => {
                let asked =
                    |listener: &&mut SessionListener| listener.listen_addr == bound.listen_addr;
                if let Some(listener) = service.listeners.iter_mut().find(asked) {
                    listener.bound_addr = Some(bound.bound_addr.clone());
                }
            }
            ServiceEvent::WakeFired(fired) => service.fire(at, fired),
            ServiceEvent::WakeSkipped(skipped) => service.skip(at, skipped),
            ServiceEvent::WakeEnded(ended) => {
                service.end(ended);
                for used in ended.usage.by_agent.values() {
                    self.usage = self.usage.plus(&used.tokens);
                    self.counters.model_calls += used.model_calls;
                    self.counters.tool_calls += used.tool_calls;
                }
            }
        }
    }
}

impl SessionSchedule {
    /// Returns the time up to which no slot is left, for a schedule of a service created at
    /// `created_at`.
    pub fn settled_until(&self, created_at: Timestamp) -> Timestamp {
        self.last_slot_at.unwrap_or(created_at)
    }
}

impl Run {
    /// Returns the time of the service's next heartbeat; `None` for a run that has none.
    pub fn next_heartbeat_at(&self) -> Option<Timestamp> {
        let (spec, service) = (self.spec.service.as_ref()?, self.service.as_ref()?);
        let last = service.last_heartbeat_at.or(self.started_at).unwrap_or(self.created_at);
        spec.heartbeat.then(|| last.plus(spec.interval))
    }
}

impl Service {
    fn fire(&mut self, at: Timestamp, fired: &WakeFired) {
        self.wakes += 1;
        self.last_wake_run_id = Some(fired.run_id.clone());
        if fired.is_followed {
            let interrupted = fired.source.as_deref().and_then(|source| self.under_way.get(source));
            let recoveries = match fired.reason {
                WakeReason::Recovery => interrupted.map_or(1, |before| before.saturating_add(1)),
                WakeReason::Manual
                | WakeReason::Heartbeat
                | WakeReason::Schedule
                | WakeReason::Ingress => 0,
            };
            self.under_way.insert(fired.run_id.to_string(), recoveries);
        }
        match fired.reason {
            WakeReason::Heartbeat => self.last_heartbeat_at = Some(at),
            WakeReason::Schedule => {
                if let Some(schedule) = self.schedule_mut(fired.source.as_deref()) {
                    schedule.last_slot_at = schedule.last_slot_at.max(fired.slot_ms);
                    schedule.last_fired_at = Some(at);
                }
            }
            WakeReason::Ingress => {
                let source = fired.source.as_deref();
                let asked = |l: &&mut SessionListener| Some(l.listen_addr.as_str()) == source;
                if let Some(listener) = self.listeners.iter_mut().find(asked) {
                    listener.requests_handled += 1;
                    listener.last_request_at = Some(at);
                }
            }
            WakeReason::Manual | WakeReason::Recovery => {}
        }
    }

    fn skip(&mut self, at: Timestamp, skipped: &WakeSkipped) {
        match skipped.reason {
            WakeReason::Heartbeat => self.last_heartbeat_at = Some(at),
            WakeReason::Schedule => {
                if let Some(schedule) = self.schedule_mut(skipped.source.as_deref()) {
                    schedule.last_slot_at = schedule.last_slot_at.max(Some(skipped.slot_ms));
                }
            }
            WakeReason::Manual | WakeReason::Ingress | WakeReason::Recovery => {}
        }
    }

    fn end(&mut self, ended: &WakeEnded) {
        self.under_way.remove(ended.run_id.as_str());
        for (agent, used) in &ended.usage.by_agent {
            let sum = self.usage.entry(agent.clone()).or_default();
            *sum = sum.plus(used);
        }
    }

    fn schedule_mut(&mut self, id: Option<&str>) -> Option<&mut SessionSchedule> {
        self.schedules.iter_mut().find(|schedule| Some(schedule.spec.id.as_str()) == id)
    }
}
