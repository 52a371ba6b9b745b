//! Coordinated runs through one worker whose agents are functions of this process.

use std::path::{Path, PathBuf};
use std::time::Instant;

use errand_agent::parcel;
use errand_engine::Engine;
use errand_engine::admit;
use errand_engine::run_options::RunOptions;
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::supervise::ControlState;
use errand_engine::worker::{InProcess, Options, Until, work};
use errand_model::event::{RunKind, Trigger, TriggerKind};
use errand_model::placement::Placement;
use errand_model::run::{AttemptOutcome, Status};
use errand_model::{Payload, RunId};
use errand_store::{Pending, StoreChange, Stored};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Failure;
use crate::lab::Lab;

/// Runs that the worker executes at once.
const SLOTS: u32 = 64;

/// Coordinators to be measured.
pub(super) struct Agents {
    folder: PathBuf,
    fan_out: PathBuf,
    chain: PathBuf,
}

impl Agents {
    /// Writes an agent that does nothing, a fan-out over a list that uses it, and a chain of so
    /// many uses.
    pub(super) fn write(lab: &Lab, links: u32) -> Result<Self, Failure> {
        lab.agent("nothing", "[/bin/true]", "")?;
        let fan_out = "{ type: fan_out, agents: [../nothing], partition: items, \
             aggregation: collect }";
        let links: Vec<String> =
            (1..=links).map(|link| format!("{{ agent: ../nothing, name: n{link} }}")).collect();
        let chain = format!("{{ type: chain, agents: [{}] }}", links.join(", "));
        Ok(Self {
            folder: lab.folder().to_owned(),
            fan_out: coordinator(lab, "fan-out", fan_out)?,
            chain: coordinator(lab, "chain", &chain)?,
        })
    }
}

fn coordinator(lab: &Lab, name: &str, how: &str) -> Result<PathBuf, Failure> {
    let folder = lab.folder().join(name);
    std::fs::create_dir(&folder)?;
    let text = format!(
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: {name}, version: 1.0.0 }}\n\
         spec:\n  coordinator: {how}\n"
    );
    std::fs::write(folder.join("agent.yaml"), text)?;
    Ok(folder)
}

/// Returns the time of a fan-out from its admission to its end, in seconds.
pub(super) async fn run(engine: &Engine, agents: &Agents, children: u32) -> Result<f64, Failure> {
    let input = json!({ "items": (0..children).collect::<Vec<_>>() }).to_string().into_bytes();
    let began = Instant::now();
    let run_id = admit(engine, (&agents.fan_out, &agents.folder), input).await?;
    let stored = carry_out(engine, &run_id).await?;
    let seconds = began.elapsed().as_secs_f64();
    let started = stored.run.coordination.as_ref().map_or(0, |state| state.started);
    if started != children {
        return Err(format!("{started} of {children} children were started").into());
    }
    Ok(seconds)
}

/// Returns the commits for each message that a chain routes: those of the message itself, and the
/// turns.
pub(super) async fn commits(engine: &Engine, agents: &Agents) -> Result<f64, Failure> {
    let mut changes = engine.store().changes();
    let mut counting = JoinSet::new();
    let (told, mut over) = watch::channel(());
    let run_id = admit(engine, (&agents.chain, &agents.folder), b"{}".to_vec()).await?;
    let coordinator = run_id.clone();
    counting.spawn(async move {
        let (mut own, mut of_children) = (0_u32, 0_u32);
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                _ = over.changed() => return Ok((own, of_children)),
            };
            match change {
                Ok(StoreChange::Run { run_id, .. }) if run_id == coordinator => own += 1,
                // The first event of a child is part of a turn's commit.
                Ok(StoreChange::Run { seq, .. }) if seq > 1 => of_children += 1,
                Ok(_) => {}
                Err(RecvError::Lagged(_) | RecvError::Closed) => return Err("commits were missed"),
            }
        }
    });
    let stored = carry_out(engine, &run_id).await?;
    drop(told);
    let counted = counting.join_next().await.ok_or("nobody counted")??;
    let (own, of_children) = counted?;
    let messages = stored.run.coordination.as_ref().map_or(0, |state| state.messages);
    // Admission and start are commits of every run.
    let own = own.saturating_sub(2);
    Ok(f64::from(own + of_children) / f64::from(messages.max(1)))
}

async fn admit(
    engine: &Engine,
    (agent, cwd): (&Path, &Path),
    input: Vec<u8>,
) -> Result<RunId, Failure> {
    let parcel = parcel::build(agent, &engine.registry().parcels())?;
    let trigger = Trigger { kind: TriggerKind::Manual, source: None, payload: None };
    let options = RunOptions {
        cwd: cwd.display().to_string(),
        placement: Some(Placement::default()),
        ..RunOptions::default()
    };
    let source = agent.display().to_string();
    let submission = Submission::new(parcel, source, RunKind::Job, trigger, options);
    let submission = Submission { input: Some(input), ..submission };
    let submission = CheckedSubmission::for_any_worker(engine, submission)?;
    let mut admission = admit::admission(engine, submission).await?;
    admission.queued = Some(Pending { priority: 0, ready_at: engine.now() });
    let run_id = admission.run.id.clone();
    engine.store().admit(admission).await?;
    Ok(run_id)
}

async fn carry_out(engine: &Engine, run_id: &RunId) -> Result<Stored, Failure> {
    let done = |_: &errand_model::run::Run| AttemptOutcome::Exited {
        output: Some(Payload::Text("done".to_owned())),
    };
    let options = Options {
        until: Until::Over(run_id.clone()),
        executor: std::sync::Arc::new(InProcess::new(done)),
        ..Options::new("bench", SLOTS)
    };
    let (_told, orders) = watch::channel(ControlState::default());
    work(engine, options, orders).await?;
    let stored = engine.store().load(run_id).await?.ok_or("the coordinator is gone")?;
    if let Status::Completed { .. } = &stored.run.status {
        return Ok(stored);
    }
    Err(format!("the coordinator ended so: {:?}", stored.run.status).into())
}
