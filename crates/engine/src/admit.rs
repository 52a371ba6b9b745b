//! Admission: everything is checked before a run exists.

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

/// A run that somebody wants.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What is to run.
    pub parcel: Parcel,
    /// Where it was built from, for people.
    pub source: String,
    /// What sort of run.
    pub kind: RunKind,
    /// Why.
    pub trigger: Trigger,
    /// What the agent is given, byte for byte.
    pub input: Option<Vec<u8>>,
    /// What the caller asks for beyond that.
    pub wishes: Wishes,
    /// What wakes it; only for services.
    pub service: Option<ServiceSpec>,
    /// The run that starts it.
    pub parent: Option<RunId>,
    /// The run it repeats.
    pub origin: Option<RunId>,
    /// What it has of that one, and how it repeats it.
    pub lineage: Lineage,
    /// Set for a run that is a step of a coordinator.
    pub member: Option<Box<Membership>>,
}

/// What a run has of the run that it repeats.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// Completed steps and the checkpoint that it starts with, and the workspace as it is now.
    pub heritage: Option<Heritage>,
    /// Set for a replay.
    pub replay: Option<Replay>,
    /// What a policy said about it.
    pub decided: Option<PolicyDecided>,
    /// Whether the run that it repeats has to be a dead letter that nobody redrove or discarded.
    pub redrives: bool,
    /// The agent of the run that it repeats.
    pub agent: Option<AgentRef>,
}

/// What a caller may ask for beyond agent and input.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// A name.
    pub name: Option<String>,
    /// Labels; they win over the agent's.
    pub labels: BTreeMap<String, String>,
    /// Environment variables; they win over the agent's.
    pub env: BTreeMap<String, String>,
    /// The conversation it belongs to.
    pub session_id: Option<String>,
    /// What it does if another run of the session has the turn; `None`: it takes no turns.
    pub session_turn: Option<OnBusy>,
    /// Limits; of these and the agent's the smaller holds.
    pub budgets: Vec<(LimitName, u64)>,
    /// Wins over the agent's `timeouts.run`.
    pub timeout: Option<Duration>,
    /// Wins over the agent's `timeouts.queue`.
    pub queue_timeout: Option<Duration>,
    /// The caller's key for this request.
    pub idempotency_key: Option<String>,
    /// Whether an equal run that is unfinished or completed stands in for it.
    pub dedup: bool,
    /// Whether the caller goes on without it.
    pub detached: bool,
    /// The directory it is started from.
    pub cwd: String,
    /// Where the result is to be reported.
    pub callback_url: Option<String>,
    /// What is reported there; empty: how the run ends.
    pub callback_events: Vec<CallbackEvent>,
    /// Whose run it is; `None`: the default namespace's.
    pub namespace: Option<String>,
    /// Set for a run that any worker may claim. What the agent itself needs is added to it.
    pub placement: Option<Placement>,
    /// The trace and span of whoever asks, as the header `traceparent` has them.
    pub traceparent: Option<String>,
    /// What others note of that trace, as the header `tracestate` has it.
    pub tracestate: Option<String>,
    /// Environment that all attempts see; `None`: that of this process, if it is a caller's own
    /// ([`Engine::recording_environment`]), or else of whichever process starts an attempt.
    pub caller_env: Option<Box<CallerEnvironment>>,
    /// Who asks, where that is known.
    pub by: Option<String>,
}

/// What is wanted of an agent, before it is packed.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The agent.
    pub agent: &'a Agent,
    /// Its folder.
    pub files: &'a Path,
    /// What sort of run.
    pub kind: RunKind,
    /// What the agent is to be given.
    pub input: Option<&'a [u8]>,
    /// Environment variables of the caller.
    pub env: &'a BTreeMap<String, String>,
}

/// Checks everything that can be checked before anything is created.
///
/// # Errors
///
/// What is wrong.
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

/// Checks the agents that one names by path, as far as their parcels are here already. What they will
/// be given is not known yet.
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

/// The same for a run that a worker of another machine may carry out: what is there of programs and
/// secrets, nobody knows here.
///
/// # Errors
///
/// What is wrong.
pub fn check_elsewhere(around: &Surroundings, draft: &Draft<'_>) -> Result<(), Error> {
    check_supported(around, draft.agent)?;
    check_kind(draft)?;
    crate::brief::check(draft.agent, draft.files)?;
    match draft.kind {
        RunKind::Job => schema::check_input(draft.agent, draft.input),
        RunKind::Heartbeat | RunKind::Service => Ok(()),
    }
}

/// A service is one agent that wakes: each of its wakes would have to be a coordinator.
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

/// Makes the admission of a checked submission.
///
/// # Errors
///
/// If the blob store cannot be written, or the system gives no randomness.
pub async fn admission(engine: &Engine, submission: Submission) -> Result<Admission, Error> {
    admission_as(engine, engine.new_run_id()?, submission).await
}

/// The same for a run whose id is known before.
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
        // Whoever claims it finds its agent.
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
    // Somebody has to look at it if no worker claims it in time.
    let documents = crate::deadlines::watched(&run).into_iter().collect();
    let events = added.events;
    Ok(Admission { run, head, events, queued, dedup, redrives, documents })
}

/// Whether the run only repeats what is recorded.
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

/// When a failed attempt is tried again: a service never ends by itself, and a strict replay does not
/// do anything a second time.
fn retry(agent: &Agent, kind: RunKind, repeats_only: bool) -> RetryPolicy {
    if kind == RunKind::Service || repeats_only {
        return RetryPolicy::NEVER;
    }
    agent.retry_policy.clone()
}

/// A placement with what the agent needs by its file, where the caller does not say otherwise, and
/// the bounds that it shares with others.
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
    // Of two limits for the same, the smaller counts.
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

/// The agent's limits, tightened by the caller's.
fn limits(agent: &Agent, wishes: &[(LimitName, u64)]) -> Limits {
    let limits = Limits::from(&agent.budgets);
    wishes.iter().fold(limits, |limits, (name, allowed)| limits.tightened(*name, *allowed))
}

/// Equal for runs that would do the same: agent, kind, input, environment, session.
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
