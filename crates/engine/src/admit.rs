//! Admission: makes a run out of a checked request, before anything of the run exists.

mod pinned;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use errand_agent::parcel::{self, Parcel};
use errand_agent::workspace::Workspaces;
use errand_api::agent_file::Agent;
use errand_model::budget::{LimitName, Limits};
use errand_model::callback::CallbackEvent;
use errand_model::coordination::Membership;
use errand_model::draft::JournalDraft;
use errand_model::event::{
    AgentRef, CallerEnvironment, EventBody, Inherits, OnBusy, PolicyDecided, Replay, ReplayPolicy,
    RunCreated, RunKind, ServiceSpec, Timeouts, Trigger,
};
use errand_model::inherit::Heritage;
use errand_model::placement::{Placement, Resources};
use errand_model::retry::RetryPolicy;
use errand_model::run::Run;
use errand_model::{Digest, RunId};
use errand_store::{Admission, Pending};
use serde_json::{Value, json};

use crate::off_thread::off_thread;
use crate::{Engine, Error, Surroundings, agent_check, command_line, environment, payload, schema};

/// Checked request for a run.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Agent that is to run.
    pub parcel: Parcel,
    /// Place that the parcel was built from, for people.
    pub source: String,
    /// Kind of the run.
    pub kind: RunKind,
    /// Cause of the run.
    pub trigger: Trigger,
    /// Input of the agent, byte for byte.
    pub input: Option<Vec<u8>>,
    /// Options of the caller.
    pub wishes: Wishes,
    /// Wake-ups of a service; `None` for other kinds.
    pub service: Option<ServiceSpec>,
    /// Run that starts this one.
    pub parent: Option<RunId>,
    /// Run that this one repeats.
    pub origin: Option<RunId>,
    /// Parts that it inherits from that run, and the way in which it repeats it.
    pub lineage: Lineage,
    /// Set for a run that is a step of a coordinator.
    pub member: Option<Box<Membership>>,
}

/// Parts of a repeated run that the new run inherits.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// Completed steps and the checkpoint that the run starts with, and the workspace in its
    /// present state.
    pub heritage: Option<Heritage>,
    /// Set for a replay.
    pub replay: Option<Replay>,
    /// Verdict of a policy about the repetition.
    pub decided: Option<PolicyDecided>,
    /// Set if the repeated run has to be a dead letter that nobody redrove or discarded.
    pub redrives: bool,
    /// Agent of the repeated run.
    pub agent: Option<AgentRef>,
}

/// Options that a caller may give beside agent and input.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Name of the run.
    pub name: Option<String>,
    /// Labels; they win over the agent's.
    pub labels: BTreeMap<String, String>,
    /// Environment variables; they win over the agent's.
    pub env: BTreeMap<String, String>,
    /// Session of the run.
    pub session_id: Option<String>,
    /// Behaviour while another run of the session has the turn; `None`: the run takes no turns.
    pub session_turn: Option<OnBusy>,
    /// Limits; the smaller of these and the agent's holds.
    pub budgets: Vec<(LimitName, u64)>,
    /// Time for the run; wins over the agent's `timeouts.run`.
    pub timeout: Option<Duration>,
    /// Time in the queue; wins over the agent's `timeouts.queue`.
    pub queue_timeout: Option<Duration>,
    /// Idempotency key of the request.
    pub idempotency_key: Option<String>,
    /// Set if an equal run that is unfinished or completed stands in for this one.
    pub dedup: bool,
    /// Set if the caller does not wait for the run.
    pub detached: bool,
    /// Directory that the run is started from.
    pub cwd: String,
    /// Callback address for reports about the run.
    pub callback_url: Option<String>,
    /// Events that are reported to that address; empty: the end of the run.
    pub callback_events: Vec<CallbackEvent>,
    /// Namespace of the run; `None`: the default namespace.
    pub namespace: Option<String>,
    /// Placement of a run that any worker may claim. Needs of the agent are added to it.
    pub placement: Option<Placement>,
    /// Trace and span of the caller, as in the header `traceparent`.
    pub traceparent: Option<String>,
    /// Vendors' entries of that trace, as in the header `tracestate`.
    pub tracestate: Option<String>,
    /// Environment that all attempts see; `None`: that of this process, if it acts for one caller
    /// ([`Engine::recording_environment`]), or else that of the process that starts an attempt.
    pub caller_env: Option<Box<CallerEnvironment>>,
    /// User or program that asks, if known.
    pub by: Option<String>,
}

/// Request for a run before its agent is packed.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// Agent.
    pub agent: &'a Agent,
    /// Folder of the agent.
    pub files: &'a Path,
    /// Kind of the run.
    pub kind: RunKind,
    /// Input of the agent.
    pub input: Option<&'a [u8]>,
    /// Environment variables of the caller.
    pub env: &'a BTreeMap<String, String>,
}

/// Checks everything that can be checked before anything of a run is created.
///
/// # Errors
///
/// The first problem found.
pub fn check(around: &Surroundings, draft: &Draft<'_>) -> Result<(), Error> {
    check_supported(around, draft.agent)?;
    crate::prices::check(&around.registry)?;
    check_kind(draft)?;
    if draft.agent.coordinator.is_none() {
        let search_path = environment::search_path(around, None);
        command_line::resolve(&draft.agent.command, draft.files, &search_path)?;
    }
    crate::brief::check(draft.agent, draft.files)?;
    for secret in environment::secrets(around, draft.agent)? {
        let exposed = |place| Err(Error::SecretExposed { place, name: secret.name.clone() });
        let is_in = |bytes: &[u8]| memchr::memmem::find(bytes, secret.value.expose()).is_some();
        if draft.input.is_some_and(is_in) {
            return exposed("input");
        }
        if draft.env.values().any(|value| is_in(value.as_bytes())) {
            return exposed("environment");
        }
    }
    check_named(around, draft)?;
    if draft.kind == RunKind::Job {
        schema::check_input(draft.agent, draft.input)?;
    }
    Ok(())
}

/// Checks the agents that an agent names by path, as far as their parcels are built. Their inputs
/// are not known yet.
fn check_named(around: &Surroundings, draft: &Draft<'_>) -> Result<(), Error> {
    for named in draft.agent.named_agents() {
        let Some(digest) = &named.digest else { continue };
        let Ok(parcel) = parcel::open(&around.registry.parcels(), digest) else { continue };
        let files = parcel.files_path();
        let draft =
            Draft { agent: &parcel.agent, files: &files, kind: RunKind::Heartbeat, ..*draft };
        check(around, &draft).map_err(|error| error.of_member(&named.agent))?;
    }
    Ok(())
}

/// Checks a run that a worker of another machine may carry out: its programs and secrets are not
/// known here.
///
/// # Errors
///
/// The first problem found.
pub fn check_elsewhere(around: &Surroundings, draft: &Draft<'_>) -> Result<(), Error> {
    check_supported(around, draft.agent)?;
    check_kind(draft)?;
    crate::brief::check(draft.agent, draft.files)?;
    match draft.kind {
        RunKind::Job => schema::check_input(draft.agent, draft.input),
        RunKind::Heartbeat | RunKind::Service => Ok(()),
    }
}

/// Refuses a coordinator as a service, whose wakes would all have to be coordinators.
fn check_kind(draft: &Draft<'_>) -> Result<(), Error> {
    if draft.kind == RunKind::Service && draft.agent.coordinator.is_some() {
        return Err(Error::Unsupported { what: "a coordinator as a service".to_owned() });
    }
    Ok(())
}

/// Refuses an agent that asks for a harness or a target that this program does not have, or for a
/// field that it cannot honour.
fn check_supported(around: &Surroundings, agent: &Agent) -> Result<(), Error> {
    let mut unsupported = agent.unsupported();
    if agent.coordinator.is_none() {
        unsupported.extend(around.lacks(agent));
    }
    agent_check::refuse(&unsupported)
}

/// Returns the admission of a checked submission.
///
/// # Errors
///
/// If the blob store cannot be written, or the system gives no randomness.
pub async fn admission(engine: &Engine, submission: Submission) -> Result<Admission, Error> {
    admission_as(engine, engine.new_run_id()?, submission).await
}

/// Returns the admission of a run whose id is known before.
///
/// # Errors
///
/// As [`admission`].
pub(crate) async fn admission_as(
    engine: &Engine,
    id: RunId,
    submission: Submission,
) -> Result<Admission, Error> {
    let parts = pinned::resolve(engine, &submission).await?;
    let now = engine.now();
    let (dedup, kind) = (submission.wishes.dedup, submission.kind);
    if submission.wishes.placement.is_some() {
        // The worker that claims the run has to find its agent.
        crate::parcels::share(engine, &submission.parcel)?;
    }
    if kind == RunKind::Service && submission.wishes.placement.is_some() {
        let what = "a service that any worker may claim".to_owned();
        return Err(Error::Unsupported { what });
    }
    let (lineage, origin) = (submission.lineage.clone(), submission.origin.clone());
    let mut created = created(engine, submission)?;
    pinned::take_part(&id, &mut created, parts);
    if kind == RunKind::Service && created.session_id.is_none() {
        // The wakes of a service are one conversation.
        created.session_id = Some(id.to_string());
    }
    let mut draft = JournalDraft::create(id, created, now);
    let Lineage { heritage, decided, redrives, .. } = lineage;
    let mut inherited = heritage.map(|heritage| heritage.events).unwrap_or_default();
    let has_heritage = !inherited.is_empty();
    inherited.extend(decided.map(EventBody::PolicyDecided));
    draft.record(&inherited, now)?;
    let (run, head, _, added) = draft.into_parts();
    if let Some(origin) = origin.filter(|_| has_heritage || is_strict(&run)) {
        let workspaces = Workspaces::new(engine.registry().workspaces());
        let copy = run.id.clone();
        off_thread(move || Ok(workspaces.copy(&origin, &copy)?)).await?;
    }
    let queued = run.spec.placement.as_ref().map(|placement| Pending {
        priority: placement.priority,
        ready_at: placement.not_before.map_or(now, |not_before| not_before.max(now)),
    });
    // Without a worker's claim in time, a deadline has to end the run.
    let documents = crate::deadlines::watched(&run).into_iter().collect();
    let events = added.events;
    Ok(Admission { run, head, events, queued, dedup, redrives, documents })
}

/// Returns true if the run only repeats a record.
pub(crate) fn is_strict(run: &Run) -> bool {
    run.spec.replay.as_ref().is_some_and(|replay| replay.policy == ReplayPolicy::Strict)
}

fn created(engine: &Engine, submission: Submission) -> Result<RunCreated, Error> {
    let Submission {
        parcel,
        source,
        kind,
        trigger,
        input,
        wishes,
        service,
        parent,
        origin,
        lineage,
        member,
    } = submission;
    let Lineage { heritage, replay, agent: before, .. } = lineage;
    let repeats_only = replay.as_ref().is_some_and(|it| it.policy == ReplayPolicy::Strict);
    let inherits = origin.clone().zip(heritage.map(|heritage| heritage.upto_seq));
    let inherits = inherits.map(|(run_id, upto_seq)| Inherits { run_id, upto_seq });
    let agent = &parcel.agent;
    let fingerprint = fingerprint(&parcel, kind, input.as_deref(), &wishes);
    let is_placed = wishes.placement.is_some();
    let own = || environment::of_caller(engine, &parcel, is_placed);
    let caller_env = wishes.caller_env.or_else(own);
    let run_timeout = wishes.timeout.or(agent.timeouts.run_ms.map(Duration::from_millis));
    Ok(RunCreated {
        name: wishes.name,
        kind,
        agent: AgentRef {
            name: agent.name.clone(),
            version: agent.version.clone(),
            digest: parcel.digest.clone(),
            path: source,
        },
        trigger,
        labels: agent.labels.clone().into_iter().chain(wishes.labels).collect(),
        session_id: wishes.session_id,
        parent_run_id: parent,
        origin_run_id: origin,
        detached: wishes.detached,
        host: engine.holder().host.clone(),
        cwd: wishes.cwd,
        input: input.map(|bytes| payload::from_bytes(&engine.blobs(), bytes)).transpose()?,
        env: wishes.env,
        timeouts: Timeouts {
            // A service lives until it is stopped; its wakes have the agent's limit.
            run: run_timeout.filter(|_| kind != RunKind::Service),
            step: agent.timeouts.step_ms.map(Duration::from_millis),
            queue: wishes.queue_timeout.or(agent.timeouts.queue_ms.map(Duration::from_millis)),
            approval: agent.timeouts.approval_ms.map(Duration::from_millis),
        },
        retry: retry(agent, kind, repeats_only),
        service,
        launcher: Some(engine.holder().process.clone()),
        idempotency_key: wishes.idempotency_key,
        fingerprint,
        callback_url: wishes.callback_url,
        callback_events: wishes.callback_events,
        budgets: if repeats_only { Limits::default() } else { limits(agent, &wishes.budgets) },
        inherits,
        replay,
        session_turn: wishes.session_turn,
        placement: wishes
            .placement
            .map(|placement| placed(engine, placement, agent, wishes.namespace.as_deref())),
        namespace: wishes.namespace,
        traceparent: wishes.traceparent,
        tracestate: wishes.tracestate,
        plan: None,
        member,
        handoffs: BTreeMap::new(),
        caller_env,
        by: wishes.by,
        origin_agent: before.filter(|it| it.digest != parcel.digest).map(Box::new),
    })
}

/// Returns the retry policy of a run: none for a service, which never ends by itself, and for a
/// strict replay, which does nothing twice.
fn retry(agent: &Agent, kind: RunKind, repeats_only: bool) -> RetryPolicy {
    if kind == RunKind::Service || repeats_only {
        return RetryPolicy::NEVER;
    }
    agent.retry_policy.clone()
}

/// Returns a placement with the resources of the agent file, where the caller gives none, and with
/// the bounds that the run shares with others.
fn placed(
    engine: &Engine,
    placement: Placement,
    agent: &Agent,
    namespace: Option<&str>,
) -> Placement {
    let mut placement = placement;
    let demands = &mut placement.demands;
    if demands.resources.is_none() {
        demands.resources = Resources {
            cpu_millis: agent.resources.cpu_millis.unwrap_or(0),
            memory_bytes: agent.resources.memory_bytes.unwrap_or(0),
            gpu: agent.resources.gpu.into(),
        };
    }
    // Of two limits for the same key, the smaller counts.
    let mut bound = |key: String, limit: Option<u32>| {
        let Some(limit) = limit else { return };
        let known = demands.concurrency.entry(key).or_insert(limit);
        *known = limit.min(*known);
    };
    bound(format!("agent:{}", errand_model::scoped(namespace, &agent.name)), agent.concurrency);
    let name = namespace.unwrap_or(errand_model::DEFAULT_NAMESPACE);
    bound(format!("namespace:{name}"), engine.namespace_limit(namespace));
    placement
}

/// Returns the agent's limits, tightened by the caller's.
fn limits(agent: &Agent, wishes: &[(LimitName, u64)]) -> Limits {
    let limits = Limits::from(&agent.budgets);
    wishes.iter().fold(limits, |limits, (name, allowed)| limits.tightened(*name, *allowed))
}

/// Returns a digest that is equal for runs that would do the same: agent, kind, input, environment,
/// session.
fn fingerprint(parcel: &Parcel, kind: RunKind, input: Option<&[u8]>, wishes: &Wishes) -> Digest {
    let input = input.map(|bytes| Digest::of(bytes).to_string());
    let mut same: Value = json!({
        "agent": parcel.digest, "kind": kind, "input": input, "env": wishes.env,
        "session": wishes.session_id,
    });
    if let (Some(namespace), Some(same)) = (&wishes.namespace, same.as_object_mut()) {
        same.insert("namespace".to_owned(), namespace.clone().into());
    }
    Digest::of(errand_model::canonical::to_string(&same).as_bytes())
}
