//! `errand replay --policy strict`: compares a replay with the record.

use errand_api::exit_code;
use errand_api::story::Comparison;
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::submit;
use errand_engine::supervise::{HangUp, SignalListener, SupervisorChannels, supervise};
use errand_engine::{Engine, view};
use errand_model::event::CancelCause;
use errand_model::run::Status;

use crate::commands::difference;
use crate::context::Context;
use crate::failure::Failure;

/// Replays a run in this process and shows the result.
pub(super) async fn run(
    context: &Context,
    engine: &Engine,
    submission: Submission,
    as_json: bool,
) -> Result<u8, Failure> {
    let submission = CheckedSubmission::for_here(engine, submission)?;
    // Signals are listened for before there is a run that they could be about.
    let signals = SignalListener::listen(HangUp::Interrupts)
        .map_err(|error| Failure::internal("cannot listen for signals", &error))?;
    let (run_id, admitted) = submit::admit_held(engine, submission).await?;
    let Ok(lease) = admitted else {
        return Err(Failure::new(
            errand_api::error_code::ErrorCode::Internal,
            "another run stands in for a replay",
        ));
    };
    let channels = SupervisorChannels { control: signals.control(), tee: None, ready: None };
    let stored = supervise(engine, &run_id, lease, channels).await?;
    let was_interrupted =
        matches!(stored.run.status, Status::Cancelled { cause: CancelCause::Interrupted, .. });
    let result = view::comparison(engine, &run_id).await?;
    let code = show(context, &result, as_json)?;
    Ok(if was_interrupted { exit_code::INTERRUPTED } else { code })
}

/// Shows the result. Returns the exit code.
pub(super) fn show(context: &Context, result: &Comparison, as_json: bool) -> Result<u8, Failure> {
    if as_json {
        context.printer.json(result)?;
    } else {
        context.printer.line(&text(result))?;
    }
    Ok(match (result.identical, &result.divergence) {
        (true, _) => exit_code::SUCCESS,
        (false, Some(_)) => exit_code::REJECTED,
        (false, None) => exit_code::ERRAND_FAILED,
    })
}

fn text(result: &Comparison) -> String {
    let run_id = &result.replay_run_id;
    let of = result.run_id.as_ref().map_or_else(String::new, ToString::to_string);
    if let Some(diverged) = &result.divergence {
        return format!("replay {run_id} differs from run {of}\n\n{}", difference::text(diverged));
    }
    if let Some(error) = &result.error {
        return format!("replay {run_id} of run {of} failed: {error}");
    }
    format!("replay {run_id} is identical with run {of}: {}", result.compared.join(", "))
}
