//! Order for a dispatcher: the task that carries an attempt out, and the dispatchers that may take it.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_agent::secret::FoundSecret;
use errand_agent::target::{BusRoute, DispatchOrder, DispatcherRoute};
use errand_api::agent_file::{Agent, TargetKind};
use errand_api::catalog::{CatalogSpec, DispatchMode, DispatcherDefinition, TargetWord};
use errand_api::gateway::task::{
    RuntimeKind, RuntimeTarget, TaskPort, TaskRequest, TaskResources, TaskRetry, TaskTimeouts,
};
use errand_model::catalog::CatalogKind;
use errand_model::error_code::{CodeClass, EndedBy};
use errand_model::retry::{DispatchRetry, RetryPolicy};
use errand_model::run::{AttemptState, Run};
use errand_model::{Digest, brief_key};

use crate::equipment::Equipment;
use crate::error::AgentUnsupported;
use crate::{Engine, Error, admit, catalog};

/// Values of an attempt that its task needs.
#[derive(Clone, Copy, Debug)]
struct TaskValues<'a> {
    /// The agent, with its tier and services.
    agent: &'a Agent,
    secrets: &'a [FoundSecret],
    equipment: &'a Equipment,
    input: Option<&'a [u8]>,
    brief: &'a [u8],
}

/// Returns the order for the current attempt of a run; `None` if its agent names no dispatcher.
///
/// # Errors
///
/// If the agent asks for something that a task cannot have, or a pinned definition is missing.
pub(super) fn order(
    engine: &Engine,
    run: &Run,
    (agent, secrets, equipment): (&Agent, &[FoundSecret], &Equipment),
    (input, brief): (Option<&[u8]>, &[u8]),
) -> Result<Option<Box<DispatchOrder>>, Error> {
    let values = TaskValues { agent, secrets, equipment, input, brief };
    if values.agent.dispatcher.is_none() {
        return Ok(None);
    }
    if admit::is_strict(run) {
        return Err(AgentUnsupported { what: "a strict replay at a dispatcher".to_owned() }.into());
    }
    if !run.spec.budgets.is_unlimited() {
        return Err(AgentUnsupported { what: "a budget at a dispatcher".to_owned() }.into());
    }
    let (candidates, unfit) = candidates(engine, run, values.agent)?;
    let task = task(run, values)?;
    let brief = values.brief.to_vec();
    let number = run.last_attempt_number();
    let timeout = run.spec.retry.dispatch.unwrap_or(DispatchRetry::DEFAULT).timeout;
    Ok(Some(Box::new(DispatchOrder { candidates, unfit, task, brief, timeout, number })))
}

/// Returns the dispatchers that the run has pinned, those with most labels of the run first, and the names
/// of those among them that have not the target of the agent.
fn candidates(
    engine: &Engine,
    run: &Run,
    agent: &Agent,
) -> Result<(Vec<DispatcherRoute>, Vec<String>), Error> {
    let (mut found, mut unfit) = (Vec::new(), Vec::new());
    let pins = &run.spec.catalog;
    for pin in pins.iter().filter(|pin| pin.kind == CatalogKind::Dispatcher) {
        let manifest = catalog::manifest_of(engine, pins, pin.kind, &pin.name)?;
        let Some(CatalogSpec::Dispatcher(definition)) = manifest.map(|it| it.spec) else {
            continue;
        };
        if !has_target(&definition, agent) {
            unfit.push(pin.name.clone());
            continue;
        }
        let bus = match (definition.mode, &definition.bus) {
            (DispatchMode::Bus, Some(address)) => {
                let place = engine.store().blob_place()?.map(|record| record.place);
                Some(BusRoute { address: address.clone(), place })
            }
            (DispatchMode::Direct | DispatchMode::Bus, _) => None,
        };
        let shared = definition
            .labels
            .iter()
            .filter(|(key, value)| run.spec.labels.get(*key) == Some(*value));
        let DispatcherDefinition { url, key, .. } = &definition;
        let dispatcher = pin.name.clone();
        let route = DispatcherRoute { dispatcher, url: url.clone(), key: key.clone(), bus };
        found.push((shared.count(), route));
    }
    found.sort_by(|(a, left), (b, right)| {
        b.cmp(a).then_with(|| left.dispatcher.cmp(&right.dispatcher))
    });
    Ok((found.into_iter().map(|(_, route)| route).collect(), unfit))
}

/// Returns true if a dispatcher has the target of an agent.
fn has_target(definition: &DispatcherDefinition, agent: &Agent) -> bool {
    let wanted = match agent.target {
        TargetKind::Process(_) => TargetWord::Process,
        TargetKind::Container(_) => TargetWord::Container,
        TargetKind::Kubernetes(_) => TargetWord::Kubernetes,
    };
    definition.targets.is_empty() || definition.targets.contains(&wanted)
}

/// Returns the task that carries an attempt out.
fn task(run: &Run, values: TaskValues<'_>) -> Result<TaskRequest, Error> {
    let TaskValues { agent, secrets, equipment, input, brief } = values;
    let unsupported = |what: &str| AgentUnsupported { what: format!("{what} at a dispatcher") };
    let (image, ports, runtime) = match &agent.target {
        TargetKind::Container(place) => {
            let ports = place.ports.iter().map(|port| TaskPort {
                container_port: port.container_port,
                protocol: port.protocol,
            });
            (place.image.clone(), ports.collect(), RuntimeTarget::default())
        }
        TargetKind::Kubernetes(place) => {
            let namespace = place.namespace.clone();
            let runtime = RuntimeTarget { kind: RuntimeKind::Kubernetes, namespace };
            (place.image.clone(), Vec::new(), runtime)
        }
        TargetKind::Process(_) => return Err(unsupported("a process").into()),
    };
    let input = input.map(|bytes| String::from_utf8(bytes.to_vec()));
    let input = input.transpose().map_err(|_| unsupported("an input that is no text"))?;
    let mut env: BTreeMap<String, String> = agent.env.clone();
    env.extend(run.spec.env.clone());
    let task_id = task_id(run);
    env.insert("TASK_ID".to_owned(), task_id.clone());
    let resources = &agent.resources;
    Ok(TaskRequest {
        task_id,
        agent_image: image,
        runtime_target: runtime,
        resources: TaskResources {
            cpu: resources.cpu_millis.map(|millis| format!("{millis}m")),
            memory: resources.memory_bytes.map(|bytes| format!("{}Ki", bytes.div_ceil(1_024))),
            pids: resources.pids,
        },
        env,
        secret_env: secret_variables(run, secrets, equipment)?,
        command: agent.command.clone(),
        input,
        ports,
        brief_key: Some(brief_key(&run.id, &Digest::of(brief))),
        callback_url: None,
        callback_token: None,
        timeout_seconds: run.spec.timeouts.run.map(|limit| {
            let seconds = limit.as_millis().div_ceil(1_000).max(1);
            u32::try_from(seconds).unwrap_or(u32::MAX).min(LONGEST_TIMEOUT_SECONDS)
        }),
        retry_policy: retry(&agent.retry_policy),
        timeouts: timeouts(run),
        force: false,
    })
}

/// Returns the retry policy of a task: failures of the agent are tried again where its steps are.
fn retry(policy: &RetryPolicy) -> Option<TaskRetry> {
    let text = |delay: Duration| Some(format!("{}ms", delay.as_millis()));
    (policy.max_retries > 0).then(|| TaskRetry {
        max_retries: policy.max_retries,
        backoff: policy.backoff,
        initial_delay: text(policy.initial_delay),
        max_delay: text(policy.max_delay),
        retry_on: policy.retry_on.clone(),
    })
}

/// Returns the time limits of a task's questions and steps.
fn timeouts(run: &Run) -> Option<TaskTimeouts> {
    let text = |limit: Duration| format!("{}ms", limit.as_millis());
    let limits = run.spec.timeouts;
    let timeouts =
        TaskTimeouts { approval: limits.approval.map(text), step: limits.step.map(text) };
    (timeouts != TaskTimeouts::default()).then_some(timeouts)
}

/// Longest time limit of a task.
const LONGEST_TIMEOUT_SECONDS: u32 = 31_536_000;

/// Returns the variables with the secrets of an agent, under the names that it has for them.
fn secret_variables(
    run: &Run,
    secrets: &[FoundSecret],
    equipment: &Equipment,
) -> Result<BTreeMap<String, String>, Error> {
    let mut variables = BTreeMap::new();
    let text = |secret: &FoundSecret| {
        String::from_utf8(secret.value.expose().to_vec()).map_err(|_| AgentUnsupported {
            what: format!("the secret {}, which is no text, at a dispatcher", secret.name),
        })
    };
    for secret in secrets.iter().filter(|it| !equipment.hidden.contains(&it.name)) {
        variables.insert(secret.name.clone(), text(secret)?);
    }
    let named = equipment.secret_variables.iter();
    for (name, of) in named.filter(|(name, _)| !run.spec.env.contains_key(*name)) {
        if let Some(secret) = secrets.iter().find(|secret| secret.name == *of) {
            variables.insert(name.clone(), text(secret)?);
        }
    }
    Ok(variables)
}

/// Returns the id of the current attempt's task: that of an earlier attempt which was lost on the way, and
/// whose task may still be found at its dispatcher.
fn task_id(run: &Run) -> String {
    let is_lost = |state: &AttemptState| match state {
        AttemptState::Failed(_, failure) => {
            failure.code.class() == CodeClass::Transient(EndedBy::Outside)
        }
        AttemptState::Starting(_)
        | AttemptState::Running
        | AttemptState::Exited(_)
        | AttemptState::Stopped(..) => false,
    };
    let mut first = run.last_attempt_number();
    let earlier = run.attempts.iter().rev().skip(1);
    for attempt in earlier.take_while(|attempt| is_lost(&attempt.state)) {
        first = attempt.number;
    }
    format!("{}.{first}", run.id)
}
