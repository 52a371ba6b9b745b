//! `errand replay --policy strict`.

use errand_api::exit_code;
use errand_engine::admit::{self, Submission};
use errand_engine::supervise::{Company, Usher, supervise};
use errand_engine::{Engine, again, replay};
use errand_model::RunId;
use errand_model::event::{CancelCause, ReplayDiverged};
use errand_model::run::Status;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;

/// Replays a run in this process and shows what came of it.
pub(super) async fn run(
    context: &Context,
    engine: &Engine,
    submission: Submission,
    as_json: bool,
) -> Result<u8, Failure> {
    again::check(engine, &submission)?;
    let of = submission.origin.clone();
    // Signals are listened for before there is a run that they could be about.
    let usher =
        Usher::listen().map_err(|error| Failure::internal("cannot listen for signals", &error))?;
    let (run_id, admitted) = admit::admit_held(engine, submission).await?;
    let Ok(lease) = admitted else {
        return Err(Failure::new(
            errand_api::error_code::ErrorCode::Internal,
            "another run stands in for a replay",
        ));
    };
    let company = Company { orders: usher.orders(), tee: None, ready: None };
    let stored = supervise(engine, &run_id, lease, company).await?;
    let result = replay::result(engine, &run_id).await?;
    let is_same = result.is_same;
    if as_json {
        let document = json!({
            "schema": 1,
            "policy": "strict",
            "run_id": of,
            "replay_run_id": run_id,
            "identical": is_same,
            "status": stored.run.status.name(),
            "divergence": result.divergence,
            "error": result.error,
            "compared": result.compared,
        });
        context.printer.json(&document)?;
    } else {
        context.printer.line(&text(&result, of.as_ref(), &run_id))?;
    }
    let was_interrupted =
        matches!(stored.run.status, Status::Cancelled { cause: CancelCause::Interrupted, .. });
    Ok(match (was_interrupted, is_same, &result.divergence) {
        (true, ..) => exit_code::INTERRUPTED,
        (false, true, _) => exit_code::SUCCESS,
        (false, false, Some(_)) => exit_code::REJECTED,
        (false, false, None) => exit_code::ERRAND_FAILED,
    })
}

fn text(result: &replay::Outcome, of: Option<&RunId>, run_id: &RunId) -> String {
    let of = of.map_or_else(String::new, ToString::to_string);
    if let Some(diverged) = &result.divergence {
        return format!("replay {run_id} differs from run {of}\n\n{}", difference(diverged));
    }
    if let Some(error) = &result.error {
        return format!("replay {run_id} of run {of} failed: {error}");
    }
    format!("replay {run_id} is identical with run {of}: {}", result.compared.join(", "))
}

/// Both sides, as diffs show them.
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
