//! Sending of a task: it becomes a run, or another run stands in for it.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_api::gateway::task::TaskRequest;
use errand_model::event::{CancelCause, RunKind, Trigger, TriggerKind};
use errand_model::placement::Placement;
use errand_model::run::{Cancel, Run, Status};
use errand_model::{Digest, DispatchedTask, RunId};
use errand_store::{DocumentChange, DocumentKind, Expect, Stored};
use serde_json::{Value, json};

use super::find::FoundTask;
use super::kept::{self, KeptTask};
use super::orders::{self, OrderAt};
use super::{Error, TaskCache, TaskProblem};
use crate::documents::write;
use crate::error::CodedError as _;
use crate::outbox::{OutboxEntry, TaskAlias};
use crate::run_options::{RunOptions, check_variable};
use crate::submission::{CheckedSubmission, Submission};
use crate::submit::SubmittedRun;
use crate::{Engine, admit, ask, stored, submit, task_values};

/// Tries of a request that collides with others about the same task.
const TRIES: usize = 16;
/// Time that the agent of a task has to exit when the task is sent again by force.
const GRACE: Duration = Duration::from_secs(10);
/// Label of a run with the namespace of its task's runtime.
const NAMESPACE_LABEL: &str = "runtime_namespace";

/// Sender of a task.
#[derive(Clone, Debug)]
pub struct TaskSender<'a> {
    /// Namespace of the sender's key.
    pub namespace: Option<String>,
    /// Name of the sender, for events.
    pub name: String,
    /// Number of the order, for one from a bus: an order is taken once, and none after a later one.
    pub order: Option<u32>,
    /// Values that tasks share.
    pub cache: &'a TaskCache,
}

/// Result of sending a task.
#[derive(Clone, Debug)]
pub struct SentTask {
    /// The task.
    pub found: FoundTask,
    /// True if no run was created: the task was sent before, or another one stands in for it.
    pub is_old: bool,
}

/// Sends a task. It is durable when this returns.
///
/// # Errors
///
/// [`TaskProblem`]; if the task's agent or environment is refused. Nothing is created then.
pub async fn send(
    engine: &Engine,
    sender: &TaskSender<'_>,
    request: &TaskRequest,
) -> Result<SentTask, Error> {
    check(request)?;
    let task_id = &request.task_id;
    let namespace = sender.namespace.as_deref();
    let configuration = configuration(request, namespace);
    let mut prepared: Option<CheckedSubmission> = None;
    for _ in 0..TRIES {
        let at = OrderAt { namespace, order: sender.order };
        let earlier = match before(engine, (at, request), &configuration).await {
            Err(error) if is_collision(error.store()) => continue,
            earlier => earlier?,
        };
        let unrefused = orders::expect_unrefused(engine, (at, task_id)).await?;
        let (expect, live) = match earlier {
            Earlier::StandsIn(found) => return Ok(SentTask { found, is_old: true }),
            Earlier::Replaced { expect, live } => (expect, live),
        };
        let submission = match &prepared {
            Some(submission) => submission.clone(),
            None => {
                let made = submission(engine, sender, request, &configuration).await?;
                prepared.insert(made).clone()
            }
        };
        let mut admission = admit::admission(engine, submission).await?;
        if let Some(run_id) = live {
            // Of two runs of one task, only the new one goes on.
            let cause = CancelCause::Stopped;
            let how = Cancel { cause, by: Some(sender.name.clone()), grace: GRACE };
            ask::begin_cancel(engine, &run_id, &how).await?;
        }
        let run_id = admission.run.id.clone();
        let order = sender.order;
        let kept = KeptTask { run_id, configuration: configuration.clone(), order };
        admission.documents.push(kept.write(namespace, task_id, expect));
        admission.documents.extend(unrefused);
        let found = |stored| FoundTask { task_id: task_id.clone(), stored, order };
        match submit::admit_prepared(engine, admission).await {
            Ok(SubmittedRun::Created(stored)) => {
                return Ok(SentTask { found: found(stored), is_old: false });
            }
            Ok(SubmittedRun::Existing(existing)) => {
                let at = Place { namespace, request, expect, cache: sender.cache, order };
                if let Some(stored) = alias(engine, at, &configuration, existing).await? {
                    return Ok(SentTask { found: found(Box::new(stored)), is_old: true });
                }
            }
            Err(error) if is_collision(error.store()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(TaskProblem::Contended { task_id: task_id.clone() }.into())
}

/// Checks what neither the schema of the request nor the agent file can.
fn check(request: &TaskRequest) -> Result<(), TaskProblem> {
    if request.callback_token.is_some() && request.callback_url.is_none() {
        let message = "callback_token goes with callback_url only".to_owned();
        let pointer = "/callback_token".to_owned();
        return Err(TaskProblem::Field { pointer, message, hint: None });
    }
    let variables = [("env", &request.env), ("secret_env", &request.secret_env)];
    for (field, variables) in variables {
        for (name, value) in variables {
            let pointer = format!("/{field}/{}", name.replace('~', "~0").replace('/', "~1"));
            let refused = |why: String| {
                let message = format!("{name:?} cannot be set: {why}");
                TaskProblem::Field { pointer: pointer.clone(), message, hint: None }
            };
            check_variable(name, value).map_err(|error| refused(error.to_string()))?;
            if field == "secret_env" && request.env.contains_key(name) {
                return Err(refused("it is in env, too".to_owned()));
            }
        }
    }
    Ok(())
}

/// Returns the digest of everything that a task does: all fields but its id and its callback.
fn configuration(request: &TaskRequest, namespace: Option<&str>) -> Digest {
    let mut same = serde_json::to_value(request).unwrap_or_default();
    if let Value::Object(members) = &mut same {
        for name in ["task_id", "callback_url", "callback_token", "force"] {
            members.remove(name);
        }
    }
    let same = json!({ "task": same, "namespace": namespace });
    Digest::of(errand_model::canonical::to_string(&same).as_bytes())
}

/// Earlier task of the same id.
enum Earlier {
    /// An active or completed task, which is not run again.
    StandsIn(FoundTask),
    /// No task, or one whose place a new run takes.
    Replaced {
        /// Present state of the task's document.
        expect: Expect,
        /// Run that still carries the task out.
        live: Option<RunId>,
    },
}

/// Looks for a task of the same id.
async fn before(
    engine: &Engine,
    (at, request): (OrderAt<'_>, &TaskRequest),
    configuration: &Digest,
) -> Result<Earlier, Error> {
    let OrderAt { namespace, order } = at;
    let task_id = &request.task_id;
    let Some((kept, revision)) = kept::load(engine, namespace, task_id).await? else {
        return Ok(Earlier::Replaced { expect: Expect::Absent, live: None });
    };
    if kept.configuration != *configuration {
        return Err(TaskProblem::Conflict { task_id: task_id.clone() }.into());
    }
    let expect = Expect::Revision(revision);
    // The run may have been removed just now, and its task with it.
    let Some(stored) = engine.store().load(&kept.run_id).await? else {
        return Ok(Earlier::Replaced { expect, live: None });
    };
    let is_taken = order.is_some() && kept.order >= order;
    let stands_in = is_taken || (!request.force && !has_failed(&stored.run));
    Ok(if stands_in {
        let order = orders::note(engine, (at, task_id), (kept, expect)).await?;
        let stored = Box::new(stored);
        Earlier::StandsIn(FoundTask { task_id: task_id.clone(), stored, order })
    } else {
        // The run of another task that stood in for this one is its sender's.
        let task = stored.run.spec.task.as_ref();
        let is_own = task.is_some_and(|task| task.task_id == *task_id);
        let is_live = is_own && !stored.run.status.is_terminal();
        let live = is_live.then(|| kept.run_id.clone());
        Earlier::Replaced { expect, live }
    })
}

/// Returns true if a run ended without a result, so that its task may be sent again.
fn has_failed(run: &Run) -> bool {
    matches!(run.status, Status::Failed { .. } | Status::Cancelled { .. })
}

/// Place of a task's document, with the state that it has.
struct Place<'a> {
    namespace: Option<&'a str>,
    request: &'a TaskRequest,
    expect: Expect,
    cache: &'a TaskCache,
    order: Option<u32>,
}

/// Stores another id for the task that the run `existing` carries out, with a report to its sender.
/// Returns `None` if others changed the task meanwhile.
async fn alias(
    engine: &Engine,
    at: Place<'_>,
    configuration: &Digest,
    existing: RunId,
) -> Result<Option<Stored>, Error> {
    let Place { namespace, request, expect, cache, order } = at;
    let (task_id, now) = (&request.task_id, engine.now());
    let kept = KeptTask { run_id: existing.clone(), configuration: configuration.clone(), order };
    let key = kept::alias_key(&existing, task_id);
    let change = DocumentChange::Put { body: json!({}), due_at: None };
    let mut writes = vec![
        kept.write(namespace, task_id, expect),
        write(DocumentKind::TaskAlias, namespace, key, (Expect::Anything, change)),
    ];
    if let Some(url) = &request.callback_url {
        let sealed = task_values::token(request, || cache.sealer(engine))?;
        let alias = TaskAlias { task_id: task_id.clone(), sealed };
        let report = OutboxEntry::of_alias(&existing, url.clone(), alias, now);
        writes.push(report.write(namespace, Expect::Anything, Some(now)));
    }
    match engine.store().write_documents(writes).await {
        Ok(()) => Ok(Some(stored::load(engine, &existing).await?)),
        Err(error) if is_collision(Some(&error)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns true if another request changed the task first.
fn is_collision(error: Option<&errand_store::Error>) -> bool {
    matches!(error, Some(errand_store::Error::DocumentChanged { .. }))
}

/// Returns the checked submission of a task's run.
async fn submission(
    engine: &Engine,
    sender: &TaskSender<'_>,
    request: &TaskRequest,
    configuration: &Digest,
) -> Result<CheckedSubmission, Error> {
    let parcel = sender.cache.parcel(engine, request).await?;
    let values = task_values::split(request, || sender.cache.sealer(engine))?;
    let task = DispatchedTask {
        task_id: request.task_id.clone(),
        configuration: configuration.clone(),
        brief_key: request.brief_key.clone(),
        runtime_namespace: request.runtime_target.namespace.clone(),
        sealed: values.sealed,
    };
    let root = engine.registry().root();
    let labels = request.runtime_target.namespace.iter();
    let options = RunOptions {
        name: Some(request.task_id.clone()),
        labels: labels.map(|it| (NAMESPACE_LABEL.to_owned(), it.clone())).collect(),
        env: with_own(values.env, request),
        timeout: request.timeout_seconds.map(|it| Duration::from_secs(it.into())),
        dedup: !request.force,
        detached: true,
        cwd: root.parent().unwrap_or(root).display().to_string(),
        callback_url: request.callback_url.clone(),
        namespace: sender.namespace.clone(),
        placement: Some(Placement::default()),
        by: Some(sender.name.clone()),
        task: Some(Box::new(task)),
        ..RunOptions::default()
    };
    let source = request.agent_image.clone();
    let trigger =
        Trigger { kind: TriggerKind::Manual, source: Some(sender.name.clone()), payload: None };
    let submission = Submission::new(parcel, source, RunKind::Job, trigger, options);
    let input = request.input.clone().map(String::into_bytes);
    let submission = Submission { input, ..submission };
    Ok(CheckedSubmission::for_here(engine, submission)?)
}

/// Returns the variables of a task with those that every task has.
fn with_own(mut env: BTreeMap<String, String>, request: &TaskRequest) -> BTreeMap<String, String> {
    env.entry("TASK_ID".to_owned()).or_insert_with(|| request.task_id.clone());
    if let Some(key) = &request.brief_key {
        env.entry("BRIEF_KEY".to_owned()).or_insert_with(|| key.clone());
    }
    env
}
