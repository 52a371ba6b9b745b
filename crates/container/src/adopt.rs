//! Adoption of a container whose supervisor is gone.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::target::{AgentOutput, OrphanedAgent, TargetStartError};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::claim::AttemptClaim;
use crate::control::ControlFolder;
use crate::engine::{ContainerEngine, status};
use crate::image::NOT_FOUND;
use crate::kept::{KeptFolder, ProgressWriter};
use crate::live::{LiveContainer, StartedContainer};
use crate::output::{ContainerReports, ReportPump};
use crate::start::START_FOLDER;

/// Longest wait for a supervisor that is ending.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);
/// Interval of looks for that.
const RELEASE_AGAIN: Duration = Duration::from_millis(10);

/// Returns the folder of the start of an agent.
pub fn start_folder(agent: &OrphanedAgent) -> Option<&Path> {
    agent.locator.fields.get(START_FOLDER)?.as_str().map(Path::new)
}

/// Opens the progress of a start, once the supervisor before has released it.
///
/// # Errors
///
/// [`TargetStartError::AlreadyStarted`] if that takes too long.
pub async fn released_progress(
    agent: &OrphanedAgent,
    start: &Path,
) -> Result<ProgressWriter, TargetStartError> {
    let gives_up_at = Instant::now() + RELEASE_LIMIT;
    loop {
        match ProgressWriter::open(start) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
            Err(_) if Instant::now() >= gives_up_at => {
                let (run_id, attempt) = (agent.run_id.clone(), agent.attempt);
                return Err(TargetStartError::AlreadyStarted { run_id, attempt });
            }
            Err(_) => tokio::time::sleep(RELEASE_AGAIN).await,
            Ok(progress) => return Ok(progress),
        }
    }
}

/// Takes a container over. It may have ended, or been removed: the folder of its start has its last
/// report then.
///
/// # Errors
///
/// As [`Target::adopt`](errand_agent::target::Target::adopt).
pub(crate) async fn adopt(
    (engine, kept): (&ContainerEngine, KeptFolder),
    agent: &OrphanedAgent,
    output: AgentOutput,
    claim: AttemptClaim,
) -> Result<LiveContainer, TargetStartError> {
    let id = agent.locator.fields.get("id").and_then(|id| id.as_str());
    let (Some(id), Some(start)) = (id, start_folder(agent)) else {
        return Err(io::Error::other("the record of the container is not whole").into());
    };
    let found = match engine.docker.inspect_container(id, None).await {
        Ok(found) => Some(found),
        Err(error) if status(&error) == Some(NOT_FOUND) => None,
        Err(error) => return Err(engine.refusal("inspect the container", &error)),
    };
    let is_frozen = found.and_then(|found| found.state?.paused).unwrap_or_default();
    let control = ControlFolder::of(start);
    let (orders, reports) = control.open()?;
    let reports = reports.of_started();
    let orders = Arc::new(orders);
    let progress = released_progress(agent, start).await?;
    let reports = ContainerReports { pipe: reports, orders: Arc::clone(&orders), control };
    let mut pump = JoinSet::new();
    pump.spawn(ReportPump::continuing(reports, progress, agent.attempt, &output)?.run());
    Ok(LiveContainer::new(StartedContainer {
        engine: engine.clone(),
        id: id.to_owned(),
        locator: agent.locator.clone(),
        kept,
        orders,
        conversation: None,
        pump,
        has_memory_limit: agent.has_memory_limit,
        started_at: Instant::now(),
        is_frozen,
        claim,
    }))
}
