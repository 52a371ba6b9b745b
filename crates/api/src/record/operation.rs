//! Command of a run, and the wake-ups of a service.

use errand_model::Timestamp;
use errand_model::event::{
    MissedPolicy, OverlapPolicy, Respond, RunKind, ScheduleSource, ServiceRestart,
};
use errand_model::run::{Run, SessionListener, SessionSchedule};
use errand_model::schedule::ParsedSchedule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Command of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RecordOperation")]
pub struct Operation {
    /// `job`, `heartbeat` or `service`.
    pub kind: RunKind,
    /// Interval at which a service looks; only services have it, and the following fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// True if each interval also wakes the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<bool>,
    /// Its schedules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedules: Option<Vec<ScheduleRecord>>,
    /// Its listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Vec<ListenerRecord>>,
    /// Restart policy: `always`, `on_failure` or `no`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<ServiceRestart>,
    /// True if requests wake it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<bool>,
    /// Wakes so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wakes: Option<u64>,
    /// The next moment at which it will be woken, if it lives and one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub next_wake_at_ms: Option<Timestamp>,
}

/// A schedule of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RecordSchedule")]
pub struct ScheduleRecord {
    /// Stable: derived from expression, time zone and payload.
    pub id: String,
    /// The service.
    #[schemars(with = "String")]
    pub run_id: errand_model::RunId,
    /// Name of the callback: `schedule`.
    pub callback: String,
    /// The cron expression.
    pub schedule_expr: String,
    /// The IANA time zone.
    pub timezone: String,
    /// The next slot; `null` if there is none, or the service is over.
    #[schemars(with = "Option<i64>")]
    pub next_fire_at: Option<Timestamp>,
    /// Time of its latest wake.
    #[schemars(with = "Option<i64>")]
    pub last_fired_at: Option<Timestamp>,
    /// Input of the agent.
    pub payload: Value,
    /// Treatment of missed slots.
    pub missed: MissedPolicy,
    /// Treatment of a slot while the wake before it still runs.
    pub overlap: OverlapPolicy,
    /// Source of the schedule.
    pub source: ScheduleSource,
}

/// A listener of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RecordListener")]
pub struct ListenerRecord {
    /// The address asked for.
    pub listen_addr: String,
    /// The address in force.
    pub bound_addr: Option<String>,
    /// The only path that is answered.
    pub path: Option<String>,
    /// The only methods that are answered; empty: all.
    pub methods: Vec<String>,
    /// The sha-256 of the shared secret.
    pub secret_sha256: Option<String>,
    /// The largest body.
    pub max_body_bytes: u64,
    /// The largest request line and headers.
    pub max_header_bytes: u64,
    /// Time of the answer to a request: `at_end` or `at_once`.
    #[serde(default)]
    pub respond: Respond,
    /// Names of hosts for which requests are taken without a secret.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Requests that became wakes.
    pub requests_handled: u64,
    /// Time of the latest request.
    #[schemars(with = "Option<i64>")]
    pub last_request_at: Option<Timestamp>,
}

pub(super) fn operation(run: &Run) -> Operation {
    let mut operation = Operation {
        kind: run.spec.kind,
        interval_ms: None,
        heartbeat: None,
        schedules: None,
        listeners: None,
        restart: None,
        ingress: None,
        wakes: None,
        next_wake_at_ms: None,
    };
    let (Some(spec), Some(service)) = (&run.spec.service, &run.service) else { return operation };
    let schedules: Vec<_> = service.schedules.iter().map(|s| schedule(run, s)).collect();
    let listeners =
        spec.listeners.iter().zip(&service.listeners).map(|(spec, state)| listener(spec, state));
    let heartbeat = run.next_heartbeat_at().filter(|_| !run.status.is_terminal());
    operation.interval_ms = Some(super::value::millis(spec.interval));
    operation.heartbeat = Some(spec.heartbeat);
    operation.next_wake_at_ms =
        schedules.iter().filter_map(|schedule| schedule.next_fire_at).chain(heartbeat).min();
    operation.schedules = Some(schedules);
    operation.listeners = Some(listeners.collect());
    operation.restart = Some(spec.restart);
    operation.ingress = Some(!spec.listeners.is_empty());
    operation.wakes = Some(service.wakes);
    operation
}

fn schedule(run: &Run, schedule: &SessionSchedule) -> ScheduleRecord {
    let spec = &schedule.spec;
    let parsed = ParsedSchedule::of(spec).ok();
    let next = parsed.and_then(|it| it.next_after(schedule.settled_until(run.created_at)));
    ScheduleRecord {
        id: spec.id.clone(),
        run_id: run.id.clone(),
        callback: "schedule".to_owned(),
        schedule_expr: spec.schedule_expr.clone(),
        timezone: spec.timezone.clone(),
        next_fire_at: next.filter(|_| !run.status.is_terminal()),
        last_fired_at: schedule.last_fired_at,
        payload: super::linked_value(&run.id, spec.payload.as_ref()),
        missed: spec.missed,
        overlap: spec.overlap,
        source: spec.source,
    }
}

fn listener(spec: &errand_model::event::ListenerSpec, state: &SessionListener) -> ListenerRecord {
    ListenerRecord {
        listen_addr: spec.listen_addr.clone(),
        bound_addr: state.bound_addr.clone(),
        path: spec.path.clone(),
        methods: spec.methods.clone(),
        secret_sha256: spec.secret_sha256.clone(),
        max_body_bytes: spec.max_body_bytes,
        max_header_bytes: spec.max_header_bytes,
        respond: spec.respond,
        hosts: spec.hosts.clone(),
        requests_handled: state.requests_handled,
        last_request_at: state.last_request_at,
    }
}
