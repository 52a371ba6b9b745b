//! `errand replay --policy strict`: compares a replay with the record.

use errand_api::exit_code;
use errand_api::story::Comparison;
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::submit;
use errand_engine::supervise::{HangUp, SignalListener, SupervisorChannels, supervise};
use errand_engine::{Engine, view};
use errand_model::event::{CancelCause, ReplayDiverged};
use errand_model::run::Status;

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
        return format!("replay {run_id} differs from run {of}\n\n{}", difference(diverged));
    }
    if let Some(error) = &result.error {
        return format!("replay {run_id} of run {of} failed: {error}");
    }
    format!("replay {run_id} is identical with run {of}: {}", result.compared.join(", "))
}

/// Returns both sides of the difference in the form of a diff.
fn difference(diverged: &ReplayDiverged) -> String {
    let ReplayDiverged { step, what, expected, found } = diverged;
    let at = step.as_ref().map_or_else(String::new, |step| format!(" at step {step:?}"));
    let mut lines = vec![format!("{what}{at}")];
    lines.push("--- recorded".to_owned());
    lines.push("+++ replayed".to_owned());
    let expected: Vec<&str> = expected.as_deref().unwrap_or_default().lines().collect();
    let found: Vec<&str> = found.as_deref().unwrap_or_default().lines().collect();
    let before = expected.iter().zip(&found).take_while(|(left, right)| left == right).count();
    let rest = (&expected[before..], &found[before..]);
    let after = rest
        .0
        .iter()
        .rev()
        .zip(rest.1.iter().rev())
        .take_while(|(left, right)| left == right)
        .count();
    lines.extend(expected[..before].iter().map(|line| format!("  {line}")));
    let sides = [("-", rest.0), ("+", rest.1)];
    for (sign, side) in sides {
        lines.extend(side[..side.len() - after].iter().map(|line| format!("{sign} {line}")));
    }
    lines.extend(rest.0[rest.0.len() - after..].iter().map(|line| format!("  {line}")));
    if diverged.expected.is_none() {
        lines.push("(the record has nothing of the sort)".to_owned());
    }
    if diverged.found.is_none() {
        lines.push("(the replay has nothing of the sort)".to_owned());
    }
    lines.join("\n")
}
