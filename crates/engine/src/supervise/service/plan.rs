//! Specification of a service: schedules, listeners and heartbeat from agent file and command line.

use std::time::Duration;

use errand_api::agent_file::{self, Agent, Listen};
use errand_model::Payload;
use errand_model::event::{
    ListenerSpec, MissedPolicy, OverlapPolicy, ScheduleSource, ScheduleSpec, ServiceRestart,
    ServiceSpec,
};
use errand_model::schedule::{InvalidSchedule, ParsedSchedule, merge, schedule_id};
use sha2::Digest as _;

use super::DEFAULT_INTERVAL;

/// Returns how many wakes of one listener may run at once: as many as the machine has cores.
fn parallel() -> u32 {
    std::thread::available_parallelism().map_or(2, |cores| u32::try_from(cores.get()).unwrap_or(2))
}

/// Returns a schedule from the command line.
///
/// # Errors
///
/// [`InvalidSchedule`] if the expression is malformed.
pub fn schedule_spec(expr: &str) -> Result<ScheduleSpec, InvalidSchedule> {
    checked(ScheduleSpec {
        id: String::new(),
        schedule_expr: expr.trim().to_owned(),
        timezone: agent_file::AgentSchedule::DEFAULT_TIMEZONE.to_owned(),
        payload: None,
        missed: MissedPolicy::default(),
        overlap: OverlapPolicy::default(),
        source: ScheduleSource::Flag,
        settled_until: None,
    })
}

fn checked(mut spec: ScheduleSpec) -> Result<ScheduleSpec, InvalidSchedule> {
    ParsedSchedule::of(&spec)?;
    spec.id = schedule_id(&spec);
    Ok(spec)
}

fn from_file(schedule: &agent_file::AgentSchedule) -> Result<ScheduleSpec, InvalidSchedule> {
    checked(ScheduleSpec {
        id: String::new(),
        schedule_expr: schedule.cron.clone(),
        timezone: schedule.timezone.clone(),
        payload: (!schedule.input.is_null()).then(|| Payload::Json(schedule.input.clone())),
        missed: schedule.missed,
        overlap: schedule.overlap,
        source: ScheduleSource::AgentFile,
        settled_until: None,
    })
}

/// Returns a listener with the hash of its secret.
pub fn listener_spec(listen: &Listen, secret: Option<&[u8]>) -> ListenerSpec {
    ListenerSpec {
        listen_addr: listen.address.to_string(),
        path: listen.path.clone(),
        methods: listen.methods.clone(),
        secret_sha256: secret.map(|secret| errand_model::hex(&sha2::Sha256::digest(secret))),
        max_body_bytes: listen.max_body_bytes,
        max_header_bytes: listen.max_header_bytes,
        max_parallel: parallel(),
        respond: listen.respond,
        hosts: listen.hosts.clone(),
    }
}

/// Returns the specification of a service: the schedules of flags and file without duplicates, its
/// listeners, and its heartbeat, which is on if an interval was given or nothing else would ever
/// wake the service.
///
/// # Errors
///
/// [`InvalidSchedule`] if a schedule of the agent file is malformed.
pub fn service_spec(
    agent: &Agent,
    flags: Vec<ScheduleSpec>,
    listeners: Vec<ListenerSpec>,
    interval: Option<Duration>,
) -> Result<ServiceSpec, InvalidSchedule> {
    let file = agent.schedules.iter().map(from_file).collect::<Result<Vec<_>, _>>()?;
    let schedules = merge(flags.into_iter().chain(file));
    let nothing_else = schedules.is_empty() && listeners.is_empty();
    Ok(ServiceSpec {
        interval: interval.unwrap_or(DEFAULT_INTERVAL),
        heartbeat: interval.is_some() || nothing_else,
        heartbeat_input: None,
        schedules,
        listeners,
        restart: ServiceRestart::No,
    })
}
