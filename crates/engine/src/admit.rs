//! Admission: a checked submission becomes a run.

mod error;
mod pinned;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::parcel::Parcel;
use errand_agent::workspace::Workspaces;
use errand_api::agent_file::Agent;
use errand_model::budget::{BudgetLimits, LimitName};
use errand_model::draft::JournalDraft;
use errand_model::event::{
    AgentRef, EventBody, Inherits, ReplayPolicy, RunCreated, RunKind, Timeouts,
};
use errand_model::inherit::InheritedWork;
use errand_model::placement::{Placement, Resources};
use errand_model::retry::{DispatchRetry, RetryPolicy};
use errand_model::run::Run;
use errand_model::{Digest, RunId};
use errand_store::{Admission, Pending};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

pub use self::error::{Error, NestedTooDeep};
use crate::error::AgentUnsupported;
use crate::off_thread::off_thread;
use crate::run_options::RunOptions;
use crate::submission::{CheckedSubmission, Lineage, Submission};
use crate::{Engine, brief, dependencies, environment, payload, policy};

/// Returns the admission of a checked submission.
///
/// # Errors
///
/// If the blob store cannot be written, or the system gives no randomness.
pub async fn admission(engine: &Engine, submission: CheckedSubmission) -> Result<Admission, Error> {
    admission_as(engine, engine.new_run_id()?, submission).await
}

/// Returns the admission of a run whose id is known before.
///
/// # Errors
///
/// As [`admission`].
pub(crate) fn admission_as(
    engine: &Engine,
    id: RunId,
    submission: CheckedSubmission,
) -> BoxFuture<'_, Result<Admission, Error>> {
    Box::pin(async move {
        let submission = dependencies::equipped(engine, submission).await?;
        let mut submission = submission.into_submission();
        let triggered = policy::decide_trigger(engine, &mut submission).await?;
        let dependencies = submission.dependencies.take().unwrap_or_default();
        let parts = pinned::resolve(engine, &submission).await?;
        let mut catalog = pinned::definitions(engine, &submission).await?;
        catalog.extend(dependencies);
        let now = engine.now();
        let (dedup, kind) = (submission.options.dedup, submission.kind);
        if submission.options.placement.is_some() {
            // The worker that claims it finds its agent.
            crate::parcels::share(engine, &submission.parcel)?;
        }
        if kind == RunKind::Service && submission.options.placement.is_some() {
            let what = "a service that any worker may claim".to_owned();
            return Err(AgentUnsupported { what }.into());
        }
        let (lineage, origin) = (submission.lineage.clone(), submission.origin.clone());
        let (parcel, brief) = (Arc::clone(&submission.parcel), submission.options.brief.clone());
        let mut created = created(engine, submission)?;
        pinned::take_part(&id, &mut created, parts);
        created.catalog = catalog;
        let of_task = created.task.as_ref().and_then(|task| task.brief_key.as_deref());
        created.brief = match of_task.map(|key| brief::of_key(engine, key)).transpose()?.flatten() {
            Some(of_task) => Some(of_task),
            None => brief::stored(engine, &parcel, (&id, &created), brief)?,
        };
        if kind == RunKind::Service && created.session_id.is_none() {
            // The wakes of a service are one conversation.
            created.session_id = Some(id.to_string());
        }
        let mut draft = JournalDraft::create(id, created, now);
        let Lineage { heritage, decided, redrives, .. } = lineage;
        let mut inherited = heritage.map(|heritage| heritage.events).unwrap_or_default();
        let has_heritage = !inherited.is_empty();
        inherited.extend(decided.into_iter().chain(triggered).map(EventBody::PolicyDecided));
        draft.record(&inherited, now)?;
        let (run, head, _, added) = draft.into_parts();
        if let Some(origin) = origin.filter(|_| has_heritage || is_strict(&run)) {
            let workspaces = Workspaces::new(engine.registry().workspaces());
            let copy = run.id.clone();
            off_thread(move || workspaces.copy(&origin, &copy).map_err(Error::from)).await?;
        }
        let queued = run.spec.placement.as_ref().map(|placement| Pending {
            priority: placement.priority,
            ready_at: placement.not_before.map_or(now, |not_before| not_before.max(now)),
        });
        // Without a worker's claim in time, a deadline has to end the run.
        let documents = crate::deadlines::watched(&run).into_iter().collect();
        let events = added.events;
        Ok(Admission { run, head, events, queued, dedup, redrives, documents })
    })
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
        options,
        service,
        parent,
        origin,
        lineage,
        member,
        dependencies: _,
    } = submission;
    let Lineage { heritage, replay, agent: before, .. } = lineage;
    let repeats_only = replay.as_ref().is_some_and(|it| it.policy == ReplayPolicy::Strict);
    let inherits = origin.clone().zip(heritage).map(inherits);
    let agent = &parcel.agent;
    let fingerprint = fingerprint(&parcel, kind, input.as_deref(), &options);
    let own = || environment::of_caller(engine, &parcel, options.placement.is_some());
    let caller_env = options.caller_env.or_else(own);
    let budgets =
        if repeats_only { BudgetLimits::default() } else { limits(agent, &options.budgets) };
    let place = |it| placed(engine, it, agent, options.namespace.as_deref());
    Ok(RunCreated {
        name: options.name,
        kind,
        agent: AgentRef {
            name: agent.name.clone(),
            version: agent.version.clone(),
            digest: parcel.digest.clone(),
            path: source,
        },
        trigger,
        labels: agent.labels.clone().into_iter().chain(options.labels).collect(),
        session_id: options.session_id,
        parent_run_id: parent,
        origin_run_id: origin,
        detached: options.detached,
        host: engine.holder().host.clone(),
        cwd: options.cwd,
        input: input.map(|bytes| payload::from_bytes(&engine.blobs(), bytes)).transpose()?,
        env: options.env,
        timeouts: timeouts(agent, kind, options.timeout, options.queue_timeout),
        retry: retry(agent, kind, repeats_only),
        service,
        launcher: Some(engine.holder().process.clone()),
        idempotency_key: options.idempotency_key,
        fingerprint,
        callback_url: options.callback_url,
        callback_events: options.callback_events,
        budgets,
        inherits,
        replay,
        session_turn: options.session_turn,
        placement: options.placement.map(place),
        namespace: options.namespace,
        traceparent: options.traceparent,
        tracestate: options.tracestate,
        plan: None,
        member,
        handoffs: BTreeMap::new(),
        caller_env,
        by: options.by,
        origin_agent: before.filter(|it| it.digest != parcel.digest).map(Box::new),
        catalog: Vec::new(),
        brief: None,
        task: options.task,
        model_route: options.model_route,
    })
}

/// Returns the source of a run's first steps.
fn inherits((run_id, work): (RunId, InheritedWork)) -> Inherits {
    Inherits { run_id, upto_seq: work.upto_seq }
}

/// Returns the time limits of a run: those of the request, else those of the agent.
fn timeouts(
    agent: &Agent,
    kind: RunKind,
    run: Option<Duration>,
    queue: Option<Duration>,
) -> Timeouts {
    let of_agent = |ms: Option<u64>| ms.map(Duration::from_millis);
    Timeouts {
        // A service lives until it is stopped; its wakes have the agent's limit.
        run: run.or(of_agent(agent.timeouts.run_ms)).filter(|_| kind != RunKind::Service),
        step: of_agent(agent.timeouts.step_ms),
        queue: queue.or(of_agent(agent.timeouts.queue_ms)),
        approval: of_agent(agent.timeouts.approval_ms),
    }
}

/// Returns the retry policy of a run: none for a service, which never ends by itself, and for a
/// strict replay, which does nothing twice.
fn retry(agent: &Agent, kind: RunKind, repeats_only: bool) -> RetryPolicy {
    if kind == RunKind::Service || repeats_only {
        return RetryPolicy::NEVER;
    }
    let mut policy = agent.retry_policy.clone();
    if agent.dispatcher.is_some() {
        policy.dispatch.get_or_insert(DispatchRetry::DEFAULT);
    }
    policy
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

/// The agent's limits, tightened by the caller's.
fn limits(agent: &Agent, options: &[(LimitName, u64)]) -> BudgetLimits {
    let limits = BudgetLimits::from(&agent.budgets);
    options.iter().fold(limits, |limits, (name, allowed)| limits.tightened(*name, *allowed))
}

/// Equal for runs that would do the same: agent, kind, input, environment, session, model route, parts
/// of the brief.
fn fingerprint(
    parcel: &Parcel,
    kind: RunKind,
    input: Option<&[u8]>,
    options: &RunOptions,
) -> Digest {
    let input = input.map(|bytes| Digest::of(bytes).to_string());
    if let Some(task) = &options.task {
        return task.configuration.clone();
    }
    let mut same: Value = json!({
        "agent": parcel.digest, "kind": kind, "input": input, "env": options.env,
        "session": options.session_id,
    });
    if let (Some(namespace), Some(same)) = (&options.namespace, same.as_object_mut()) {
        same.insert("namespace".to_owned(), namespace.clone().into());
    }
    if let (Some(route), Some(same)) = (&options.model_route, same.as_object_mut()) {
        same.insert("model_route".to_owned(), route.clone().into());
    }
    let given = &options.brief;
    if let (false, Some(same)) = (given.is_empty(), same.as_object_mut()) {
        let digest = |text: &Option<String>| text.as_ref().map(|text| Digest::of(text.as_bytes()));
        let texts = [digest(&given.instructions), digest(&given.context)];
        let parts = json!([texts, given.skills, given.configs]);
        same.insert("brief".to_owned(), parts);
    }
    Digest::of(errand_model::canonical::to_string(&same).as_bytes())
}
