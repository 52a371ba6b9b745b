//! Handoffs: a run that ends well names a successor, which carries its task on. The successor is
//! admitted in the commit in which the run completes: both happen or neither.

use std::path::{Component, Path};
use std::time::Duration;

use errand_api::agent_file::Agent;
use errand_model::budget::{BudgetScope, LimitName};
use errand_model::event::{HandoffRequested, OnBusy, RunKind, Trigger, TriggerKind};
use errand_model::placement::{Placement, PlacementDemands};
use errand_model::run::Run;
use errand_model::spend::BudgetMeasure;
use errand_model::{Digest, Payload, Timestamp};
use errand_store::Admission;
use serde::{Deserialize, Serialize};

use crate::admit;
use crate::brief::BriefParts;
use crate::error::{AgentUnsupported, BlobFailure, IoFailure, operation_error};
use crate::run_options::RunOptions;
use crate::submission::{self, CheckedSubmission, Lineage, Submission};
use crate::{Engine, brief, family, parcels, payload};

operation_error! {
    /// Error: the successor of a handoff cannot be made.
    pub enum Error {
        /// The agent cannot be run by this version.
        Unsupported(AgentUnsupported),
        /// A parcel cannot be fetched or shared.
        Parcels(parcels::Error),
        /// The brief of the run is missing or damaged.
        Brief(brief::Error),
        /// A payload cannot be stored or read.
        Payloads(payload::Error),
        /// The request to run is refused.
        Submission(submission::Error),
        /// The run is not admitted.
        Admission(admit::Error),
        /// A blob cannot be stored or read.
        Blob(BlobFailure) from errand_store::BlobError,
        /// A file or process operation failed.
        Io(IoFailure),
    }
}

/// Folder of the handed artifacts in the successor's workspace.
const FOLDER: &str = "handoff";

/// Description of a handoff: the payload of the successor's trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handoff {
    /// Agent that hands over.
    from: String,
    /// Summary of finished and remaining work.
    summary: String,
    /// Files of the run that hands over.
    #[serde(default)]
    artifacts: Vec<HandedArtifact>,
    /// Number of handoffs, this one included.
    handoff: u32,
}

/// Artifact of the run that hands over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct HandedArtifact {
    name: String,
    /// Path in the workspace, once an attempt begins.
    path: String,
    digest: Digest,
    size_bytes: u64,
    /// Address for other programs.
    uri: String,
}

impl Handoff {
    /// Returns the handoff that led to a run, if there was one.
    fn of(run: &Run) -> Option<Self> {
        let trigger = &run.spec.trigger;
        let payload = trigger.payload.as_ref().filter(|_| trigger.kind == TriggerKind::Upstream)?;
        serde_json::from_value(payload.clone()).ok()
    }
}

/// Returns the number of handoffs before a run.
pub(crate) fn number(run: &Run) -> u32 {
    Handoff::of(run).map_or(0, |handoff| handoff.handoff)
}

/// Returns the successor of a run, if the run asked for one. `run` ends well at `now`, or did.
///
/// # Errors
///
/// If its agent is missing, or refuses the input.
pub(crate) async fn successor(
    engine: &Engine,
    run: &Run,
    now: Timestamp,
) -> Result<Option<Admission>, Error> {
    let Some(requested) = run.handoff.as_deref() else { return Ok(None) };
    let submission = submission(engine, run, requested, now)?;
    let run_id = requested.run_id.clone();
    Ok(admit::admission_as(engine, run_id, submission).await.map(Some)?)
}

/// Checks a handoff as far as that is possible before the run ends.
///
/// # Errors
///
/// As [`successor`].
pub(crate) fn check(engine: &Engine, run: &Run, requested: &HandoffRequested) -> Result<(), Error> {
    submission(engine, run, requested, engine.now()).map(drop)
}

fn submission(
    engine: &Engine,
    run: &Run,
    requested: &HandoffRequested,
    now: Timestamp,
) -> Result<CheckedSubmission, Error> {
    let spec = &run.spec;
    let agent = spec.handoffs.get(&requested.to).ok_or_else(|| AgentUnsupported {
        what: format!("{:?}, which the agent file does not name", requested.to),
    })?;
    let parcel = parcels::open(engine, &agent.digest)?;
    let given: Option<&Payload> = requested.input.as_ref().or(spec.input.as_ref());
    let input = given.map(|given| payload::input_of(&engine.blobs(), given)).transpose()?;
    let own_timeout = parcel.agent.timeouts.run_ms.map(Duration::from_millis);
    Ok(CheckedSubmission::for_any_worker(
        engine,
        Submission {
            options: RunOptions {
                brief: handed_parts(engine, run, &parcel.agent)?,
                ..options(run, own_timeout, now)
            },
            parcel: parcel.into(),
            source: agent.path.clone(),
            kind: RunKind::Job,
            trigger: trigger(run, requested),
            input,
            service: None,
            parent: spec.parent_run_id.clone(),
            origin: None,
            lineage: Lineage::default(),
            member: spec.member.clone(),
            dependencies: None,
        },
    )?)
}

fn trigger(run: &Run, requested: &HandoffRequested) -> Trigger {
    let artifacts = requested.artifacts.iter().filter_map(|name| {
        let artifact = run.artifacts.get(name)?;
        Some(HandedArtifact {
            name: name.clone(),
            path: format!("{FOLDER}/{name}"),
            digest: artifact.digest.clone(),
            size_bytes: artifact.size_bytes,
            uri: format!("artifact://{}/{name}", run.id),
        })
    });
    let handoff = Handoff {
        from: run.spec.agent.name.clone(),
        summary: requested.summary.clone(),
        artifacts: artifacts.collect(),
        handoff: number(run) + 1,
    };
    Trigger {
        kind: TriggerKind::Upstream,
        source: Some(run.id.to_string()),
        payload: serde_json::to_value(handoff).ok(),
    }
}

/// Options of the successor: labels, environment, session, place, and the rest of time and budgets.
fn options(run: &Run, own_timeout: Option<Duration>, now: Timestamp) -> RunOptions {
    let spec = &run.spec;
    // A deadline in the past leaves the shortest time, since no time at all means no limit.
    let soonest = Duration::from_millis(1);
    let left = run.run_deadline().map(|deadline| deadline.since(now).max(soonest));
    RunOptions {
        name: None,
        labels: spec.labels.clone(),
        env: spec.env.clone(),
        session_id: spec.session_id.clone(),
        session_turn: spec.session_turn.map(|_| OnBusy::Enqueue),
        budgets: budgets_left(run, now),
        timeout: own_timeout.into_iter().chain(left).min(),
        queue_timeout: None,
        idempotency_key: None,
        dedup: false,
        detached: spec.detached,
        cwd: spec.cwd.clone(),
        callback_url: spec.callback_url.clone(),
        callback_events: spec.callback_events.clone(),
        namespace: spec.namespace.clone(),
        placement: spec.placement.as_ref().map(place),
        traceparent: spec.traceparent.clone(),
        tracestate: spec.tracestate.clone(),
        caller_env: spec.caller_env.clone(),
        by: None,
        brief: BriefParts::default(),
        task: None,
        model_route: None,
    }
}

/// Returns the caller's instructions and context, which hold for the successor as well. Skills and
/// configs are those of its own agent, and a coordinator has no brief.
fn handed_parts(engine: &Engine, run: &Run, agent: &Agent) -> Result<BriefParts, Error> {
    if agent.coordinator.is_some() {
        return Ok(BriefParts::default());
    }
    let BriefParts { instructions, context, .. } = brief::parts_of(engine, run)?;
    Ok(BriefParts { instructions, context, ..BriefParts::default() })
}

/// Returns the successor's placement, without the needs of the first agent.
fn place(placement: &Placement) -> Placement {
    let demands = PlacementDemands {
        affinity: placement.demands.affinity.clone(),
        ..PlacementDemands::default()
    };
    Placement { priority: placement.priority, not_before: None, demands }
}

/// Returns the rest of the run's limits.
fn budgets_left(run: &Run, now: Timestamp) -> Vec<(LimitName, u64)> {
    let spent = run.spent(now);
    let measures = [
        (BudgetMeasure::Tokens, spent.tokens),
        (BudgetMeasure::CostMicroUsd, spent.cost_micro_usd),
        (BudgetMeasure::ToolCalls, spent.tool_calls),
        (BudgetMeasure::WallTimeMs, spent.wall_time_ms),
    ];
    let left = measures.into_iter().filter_map(|(measure, spent)| {
        let limit = LimitName::of(BudgetScope::Run, measure);
        Some((limit, run.allowed(limit)?.saturating_sub(spent)))
    });
    left.collect()
}

/// Returns true if no worker claims the successor, so that it needs a helper.
pub(crate) fn needs_helper(run: &Run) -> bool {
    run.spec.placement.is_none() || family::is_top(run)
}

/// Copies the handed artifacts into a successor's workspace. A file that exists is left as it is,
/// since an earlier attempt may have changed it.
///
/// # Errors
///
/// If an artifact is missing or cannot be written.
pub(crate) fn put_artifacts(engine: &Engine, run: &Run, workspace: &Path) -> Result<(), Error> {
    let Some(handoff) = Handoff::of(run) else { return Ok(()) };
    let blobs = engine.blobs();
    for artifact in &handoff.artifacts {
        let name = Path::new(&artifact.name);
        // Names were checked when the artifact was kept; a path outside the folder is no such name.
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            continue;
        }
        let path = workspace.join(FOLDER).join(name);
        if path.exists() {
            continue;
        }
        let failed = |path: &Path| IoFailure::of("write", path.to_owned());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        let (mut from, _) = blobs.open(&artifact.digest)?;
        // A partial file must not be taken for a whole one by the next attempt.
        let partial = path.with_extension("errand-partial");
        // An earlier attempt may have left anything there, for example a pipe without a reader.
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(&partial)(error).into());
            }
            Ok(()) | Err(_) => {}
        }
        let mut to = std::fs::File::create_new(&partial).map_err(failed(&partial))?;
        std::io::copy(&mut from, &mut to).map_err(failed(&partial))?;
        std::fs::rename(&partial, &path).map_err(failed(&path))?;
    }
    Ok(())
}
