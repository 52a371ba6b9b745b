//! Runs that outlive the command which starts them: `errand run -d`.
//!
//! The command checks everything, and then copies its process. The copy becomes the run's helper:
//! it admits the run, starts its agent, and has the launcher print the run's id and end.

use std::time::Duration;

use errand_agent::os::{self, Fork, LauncherPipe, NoReport};
use errand_api::error_code::ErrorCode;
use errand_engine::launch::{HelperReport, helper_environment};
use errand_engine::submission::CheckedSubmission;
use errand_engine::submit::admit_held_as;
use errand_engine::supervise::{HangUp, SignalListener, SupervisorChannels, supervise};
use errand_engine::{Engine, launch};
use errand_model::RunId;
use errand_store::Lease;

use super::helper_report;
use super::run::{self, DetachedRunDraft};
use crate::context::Context;
use crate::failure::Failure;
use crate::printer::Printer;

/// Age from which a helper process frees memory. Short runs do not pay for that.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Part of the work that is left to this process after the fork.
pub(crate) enum Role {
    /// End with this exit code.
    Launcher(u8),
    /// Admit and supervise the run.
    Helper(LauncherPipe),
    /// Both: the process could not be copied.
    Alone,
}

/// Copies this process. In the launcher, waits for the helper's report, and prints its output.
pub(crate) fn fork_helper(printer: &Printer) -> Result<Role, Failure> {
    match os::fork() {
        Ok(Some(Fork::Helper(pipe))) => Ok(Role::Helper(pipe)),
        Ok(Some(Fork::Launcher(helper))) => {
            let (reported, output) = helper.reported(launch::READY_LIMIT);
            printer.stderr(&output.stderr);
            let code = reported.map_err(|why| not_reported(&why))?;
            printer.bytes(&output.stdout)?;
            Ok(Role::Launcher(code))
        }
        Ok(None) => Ok(Role::Alone),
        Err(error) => Err(Failure::internal("cannot start a helper", &error)),
    }
}

fn not_reported(why: &NoReport) -> Failure {
    let text = match why {
        NoReport::Ended(status) => format!("the helper ended before it reported ({status})"),
        NoReport::Silent => {
            let limit = launch::READY_LIMIT.as_secs();
            format!("the helper sent no report within {limit} s: the run may still begin")
        }
        NoReport::Unknown(error) => format!("the helper cannot be waited for: {error}"),
    };
    Failure::new(ErrorCode::Internal, text)
        .hint("`errand ps -a` shows whether the run exists: look before you start it again")
}

/// Does the work of the helper. The launcher prints what is printed here before `pipe` is told.
pub(crate) async fn run_as_helper(
    context: &Context,
    draft: DetachedRunDraft,
    pipe: LauncherPipe,
) -> u8 {
    let json = draft.json;
    match begin(context, draft).await {
        Ok(DetachedRun::HeldHere(held)) => {
            let Held { engine, signals, run_id, lease } = *held;
            let tell = async |report| {
                let printed = match helper_report::check(context, &engine, &run_id, report).await {
                    Ok(()) => run::print_run(context, &engine, &run_id, json).await,
                    Err(failure) => Err(failure),
                };
                pipe.report(exit_code(context, printed.map(|()| 0)));
            };
            match supervise_and_report(&engine, &run_id, lease, &signals, tell).await {
                Ok(()) => 0,
                Err(failure) => failure.exit_code(),
            }
        }
        Ok(DetachedRun::HeldElsewhere(code)) => {
            pipe.report(code);
            code
        }
        Err(failure) => {
            let code = exit_code(context, Err(failure));
            pipe.report(code);
            code
        }
    }
}

/// Prints a failure, if there is one, and returns the exit code.
fn exit_code(context: &Context, ended: Result<u8, Failure>) -> u8 {
    match ended {
        Ok(code) => code,
        Err(failure) => {
            context.printer.failure(&failure);
            failure.exit_code()
        }
    }
}

/// Run that was admitted.
enum DetachedRun {
    /// The run is held by this process.
    HeldHere(Box<Held>),
    /// Another process runs it; its id is printed.
    HeldElsewhere(u8),
}

/// Run under the lease of this process.
struct Held {
    engine: Engine,
    signals: SignalListener,
    run_id: RunId,
    lease: Lease,
}

async fn begin(context: &Context, draft: DetachedRunDraft) -> Result<DetachedRun, Failure> {
    let DetachedRunDraft { checked, json, blobs } = draft;
    let signals = SignalListener::listen(HangUp::Drains)
        .map_err(|error| Failure::internal("cannot listen for signals", &error))?;
    checked.check_names(context).await?;
    let engine = context.engine_keeping_blobs(blobs.as_ref())?;
    run::refuse_own_session(context, &engine, &checked, true).await?;
    let submission = checked.pack(&engine).await?;
    let run_id = engine.new_run_id()?;
    if is_of_family(&submission) || !retitle_process(&engine, &run_id, &submission) {
        return run::detach(context, &engine, submission, json)
            .await
            .map(DetachedRun::HeldElsewhere);
    }
    match admit_held_as(&engine, run_id, submission).await? {
        (run_id, Ok(lease)) => {
            Ok(DetachedRun::HeldHere(Box::new(Held { engine, signals, run_id, lease })))
        }
        (_, Err(existing)) => {
            run::print_run(context, &engine, &existing, json).await?;
            Ok(DetachedRun::HeldElsewhere(0))
        }
    }
}

/// Returns true if the run may start others: its helper then works for all of them.
fn is_of_family(submission: &CheckedSubmission) -> bool {
    let agent = &submission.submission().parcel.agent;
    agent.coordinator.is_some() || !agent.handoffs.is_empty()
}

/// Shows this process as the helper of the run. Returns false if that is not possible: an agent that
/// started this command would take the helper for a process of its own run.
fn retitle_process(engine: &Engine, run_id: &RunId, submission: &CheckedSubmission) -> bool {
    let secrets = &submission.submission().parcel.agent.secrets;
    os::show_as_helper(run_id, &helper_environment(engine, run_id, secrets)).is_ok()
}

/// Supervises a run until it is over, and tells once that its first attempt began, or why not.
pub(super) async fn supervise_and_report(
    engine: &Engine,
    run_id: &RunId,
    lease: Lease,
    signals: &SignalListener,
    tell: impl AsyncFnOnce(HelperReport),
) -> Result<(), Failure> {
    let (ready, heard) = tokio::sync::oneshot::channel();
    let channels = SupervisorChannels { control: signals.control(), tee: None, ready: Some(ready) };
    let supervision = supervise(engine, run_id, lease, channels);
    let mut supervision = std::pin::pin!(supervision);
    let mut heard = std::pin::pin!(heard);
    let mut tell = Some(tell);
    let settled = tokio::time::sleep(SETTLED_AFTER);
    let mut settled = std::pin::pin!(settled);
    loop {
        tokio::select! {
            () = &mut settled, if !settled.is_elapsed() => os::release_code(),
            report = &mut heard, if tell.is_some() => {
                if let Some(tell) = tell.take() {
                    tell(report.unwrap_or(HelperReport::Began)).await;
                }
            }
            ended = &mut supervision => {
                if let Some(tell) = tell.take() {
                    tell(match (&ended, heard.try_recv()) {
                        (_, Ok(report)) => report,
                        (Err(error), Err(_)) => not_begun(error),
                        (Ok(_), Err(_)) => HelperReport::Began,
                    })
                    .await;
                }
                ended?;
                engine.store().sync_files(run_id).await?;
                return Ok(());
            }
        }
    }
}

/// Returns the report of a supervision that failed before an attempt began.
fn not_begun(error: &errand_engine::Error) -> HelperReport {
    let code = error.code();
    HelperReport::Failed {
        code: code.as_str().to_owned(),
        message: errand_engine::supervise::chain(error),
        exit_code: code.exit_code(),
    }
}
