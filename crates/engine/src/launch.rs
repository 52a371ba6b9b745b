//! Launch of the helper process that supervises one run, and the message that it began.
//!
//! The helper gets of the caller only a short list of variables and a pipe, on which it writes one
//! line: that it began, or why it did not.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use errand_agent::os::{Helper, StartedHelper};
use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use errand_model::run::Run;
use errand_store::Lease;
use rustix::pipe::PipeFlags;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::error::{CodedError, RunEnding, operation_error};
use crate::{Engine, environment, equipment, family, secret_names, stored};

operation_error! {
    /// Error: no helper process carries the run on.
    pub enum Error {
        /// The helper process did not start the run.
        Helper(HelperFailed),
        /// The store failed or refused.
        Store(errand_store::Error),
        /// The run, or this process, is ending.
        Ending(RunEnding),
    }
}

/// Longest wait for a helper's message that it began: longer than a registry may stay busy.
pub const READY_LIMIT: Duration = Duration::from_secs(45);
/// Longest line that a helper writes.
const READY_LIMIT_BYTES: u64 = 64 * 1024;

/// Message that a helper writes on its pipe, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HelperReport {
    /// The run's first attempt began, or the run is over already.
    Began,
    /// The first attempt failed before its agent ran, and the run goes on: another attempt follows.
    FirstAttemptFailed {
        /// Description of the failure for people.
        message: String,
    },
    /// The helper could not begin; the run's record has the same error.
    Failed {
        /// Stable error code.
        code: String,
        /// Message for people.
        message: String,
        /// Exit code for errand.
        exit_code: u8,
    },
}

/// Requirements of a run on its helper.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Names of the secrets that the helper passes on, if the environment has them.
    pub secrets: Vec<String>,
    /// The helper works for a coordinator and for all runs that it starts.
    pub is_family: bool,
}

/// Starts a helper for a run whose last lease has the number `seen_epoch`, and waits until the
/// helper began.
///
/// # Errors
///
/// [`HelperFailed`] if it cannot be started or ended without a word.
pub fn launch(
    engine: &Engine,
    run_id: &RunId,
    seen_epoch: u64,
    needs: &Needs,
) -> Result<HelperReport, Error> {
    let failed = |reason: String| HelperFailed { run_id: run_id.clone(), reason };
    let (pipe, said) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.to_string()))?;
    let helper = Helper {
        program: &engine.surroundings().program,
        args: arguments(engine, run_id, seen_epoch, needs),
        env: launched_environment(engine, run_id, &needs.secrets),
        cwd: Path::new("/"),
        stdout: said.as_fd(),
    };
    let started = helper.spawn().map_err(|error| failed(error.to_string()))?;
    // The helper's end is then the only one: it closes when the helper ends.
    drop(said);
    let line = read_line(pipe).map_err(|error| failed(error.to_string()))?;
    match serde_json::from_str(&line) {
        Ok(ready) => Ok(ready),
        Err(_) if line.is_empty() => Err(failed(how_it_ended(started)).into()),
        Err(_) => Err(failed(format!("it said {line:?}")).into()),
    }
}

fn arguments(engine: &Engine, run_id: &RunId, seen_epoch: u64, needs: &Needs) -> Vec<OsString> {
    let around = engine.surroundings();
    let mut arguments = vec![
        "internal".into(),
        "run-record".into(),
        run_id.as_str().into(),
        "--after-lease".into(),
        seen_epoch.to_string().into(),
        "--root".into(),
        engine.registry().root().into(),
        "--identity".into(),
        around.identity.clone().into(),
        "--runtime-dir".into(),
        around.runtime_dir.clone().into(),
    ];
    if needs.is_family {
        arguments.push("--family".into());
    }
    arguments
}

/// Returns a helper's environment: the caller's variables that agents may see, and the agent's
/// secrets.
pub fn helper_environment(
    engine: &Engine,
    run_id: &RunId,
    secrets: &[String],
) -> Vec<(OsString, OsString)> {
    let is_wanted = |name: &OsStr| {
        let is_secret = name.to_str().is_some_and(|name| secrets.iter().any(|s| s == name));
        is_secret || environment::is_passed_on(name) || environment::is_of_engine(name)
    };
    let environment = engine.surroundings().environment.iter();
    environment
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain([("ERRAND_HELPER".into(), run_id.as_str().into())])
        .collect()
}

/// Returns the environment of a helper that is started as a program: with the variables of S3 if the
/// registry keeps its blobs there.
fn launched_environment(
    engine: &Engine,
    run_id: &RunId,
    secrets: &[String],
) -> Vec<(OsString, OsString)> {
    let mut environment = helper_environment(engine, run_id, secrets);
    if engine.store().shared_blobs().is_some() {
        let all = engine.surroundings().environment.iter();
        let of_s3 = all.filter(|(name, _)| environment::is_of_blobs(name));
        environment.extend(of_s3.map(|(name, value)| (name.clone(), value.clone())));
    }
    environment
}

fn how_it_ended(started: StartedHelper) -> String {
    match started.wait() {
        Ok(status) => format!("it ended without a word ({status})"),
        Err(error) => format!("it ended without a word, and cannot be waited for: {error}"),
    }
}

/// Reads until the first line ends, the pipe ends or the limit is reached.
fn read_line(pipe: OwnedFd) -> std::io::Result<String> {
    let mut pipe = File::from(pipe);
    let deadline = Instant::now() + READY_LIMIT;
    let mut line = Vec::new();
    let mut part = [0; 4096];
    while !line.contains(&b'\n') && line.len() < usize::try_from(READY_LIMIT_BYTES).unwrap_or(0) {
        if !errand_agent::os::is_readable_by(&pipe, deadline)? {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        match pipe.read(&mut part)? {
            0 => break,
            read => line.extend_from_slice(&part[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Gives a run that waits for another attempt to a new helper, which takes the lease over.
///
/// # Errors
///
/// As [`launch`]. The run then stays unchanged, and the next reconciler tries again.
pub(crate) async fn hand_over(engine: &Engine, run_id: &RunId, lease: &Lease) -> Result<(), Error> {
    begin(engine, &stored::load(engine, run_id).await?.run, lease.epoch).await
}

/// Does as [`carry_on`] on a thread of its own, since it takes as long as the helper likes.
///
/// # Errors
///
/// As [`launch`].
pub(crate) async fn begin(engine: &Engine, run: &Run, seen_epoch: u64) -> Result<(), Error> {
    let (engine, run) = (engine.clone(), run.clone());
    let mut launching = JoinSet::new();
    launching.spawn_blocking(move || carry_on(&engine, &run, seen_epoch));
    match launching.join_next().await {
        Some(Ok(launched)) => launched,
        Some(Err(_)) | None => Err(RunEnding.into()),
    }
}

impl Needs {
    /// Returns the needs of a run and of the runs that it starts.
    pub fn of(engine: &Engine, run: &Run) -> Self {
        let plan = run.spec.plan.iter().flat_map(|plan| plan.agents.values());
        let handoffs = run.spec.handoffs.values();
        let mut secrets = BTreeSet::new();
        for agent in plan.chain(handoffs) {
            secret_names::gather(engine, &agent.digest, &mut secrets);
        }
        // A missing parcel or definition is reported by the attempt that needs it.
        match equipment::open(engine, run) {
            Ok(parcel) => secret_names::gather_of(engine, &parcel.agent, &mut secrets),
            Err(_) => secret_names::gather(engine, &run.spec.agent.digest, &mut secrets),
        }
        secret_names::gather_of_dispatchers(engine, run, &mut secrets);
        let secrets = secrets.into_iter().collect();
        Self { secrets, is_family: family::is_top(run) }
    }
}

/// Starts a helper for a run that was at rest, and waits until its next attempt began. Loads
/// nothing: the caller has the run.
///
/// # Errors
///
/// As [`launch`]. The run then stays unchanged, and the next reconciler tries again.
pub(crate) fn carry_on(engine: &Engine, run: &Run, seen_epoch: u64) -> Result<(), Error> {
    launch(engine, &run.id, seen_epoch, &Needs::of(engine, run)).map(|_| ())
}

/// Error: the helper process did not start the run.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the helper of run {run_id} did not begin: {reason}")]
pub struct HelperFailed {
    /// Id of the run.
    pub run_id: RunId,
    /// Reason in words.
    pub reason: String,
}

impl CodedError for HelperFailed {
    fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}
