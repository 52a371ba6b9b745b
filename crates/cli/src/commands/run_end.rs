//! The end of a run that was shown in the foreground: record, notes, exit code.

use errand_api::record::RunRecord;
use errand_model::error_code::{CodeClass, EndedBy, ErrorCode};
use errand_model::event::PauseReason;

use super::held_up;
use crate::context::Context;
use crate::failure::Failure;
use crate::render::{self, exit_code_of};

/// Shown characters of the reason of a cancellation; the record has all of it.
const WHY_CHARS: usize = 400;

/// Prints the record of a run in the foreground with `--json`.
pub(super) fn show_record(
    context: &Context,
    record: &RunRecord,
    json: bool,
) -> Result<(), Failure> {
    if json { context.printer.json(record) } else { Ok(()) }
}

/// Prints the notes about a run in the foreground at its end. Returns the exit code: the run's own,
/// unless it was interrupted.
pub(super) fn report(
    context: &Context,
    record: &RunRecord,
    interrupted: Option<u8>,
) -> Result<u8, Failure> {
    use errand_agent::Clock as _;
    let code = interrupted.unwrap_or_else(|| exit_code_of(record));
    if record.status == "paused" {
        let what = render::status(record, errand_agent::SystemClock.now());
        context.printer.note(&format!("run {} is {what}", record.run_id));
        for asked in record.approvals.iter().filter(|it| it.status == "open") {
            let line = held_up::asked_line(&asked.action, &asked.target, asked.summary.as_deref());
            line.iter().for_each(|line| context.printer.note(line));
        }
        let hint = match record.pause.as_ref().map(|pause| pause.reason) {
            Some(reason @ (PauseReason::Operator | PauseReason::Budget | PauseReason::Secret)) => {
                held_up::way_on(reason, &record.run_id)
            }
            Some(PauseReason::Approval | PauseReason::Input) | None => {
                // It is a child of a coordinator that asks.
                let show = match &record.coordinator {
                    Some(_) => "ls".to_owned(),
                    None => format!("show {}", record.run_id),
                };
                format!(
                    "`errand approvals {show}` tells more; `errand approve`, `errand reject` or \
                     `errand input` lets it go on, in the background"
                )
            }
        };
        context.printer.note(&format!("hint: {hint}"));
        return Ok(code);
    }
    if record.status == "cancelled" {
        let why =
            record.last_error.as_ref().map(|error| render::at_most(&error.message, WHY_CHARS));
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        context.printer.note(&format!("run {} is cancelled{why}", record.run_id));
    }
    if let Some(error) = record.last_error.as_ref().filter(|_| record.status == "failed") {
        let failure = Failure::of_run(error.code.as_str(), &error.message).hint(where_more(record));
        context.printer.failure(&failure);
    }
    Ok(code)
}

/// Returns a hint where more about a failed run can be found.
fn where_more(record: &RunRecord) -> String {
    let run_id = &record.run_id;
    if record.coordinator.is_some() {
        return format!(
            "`errand trace {run_id}` shows which step failed, `errand logs` of its run why"
        );
    }
    let code = record.last_error.as_ref().and_then(|error| error.code.parse::<ErrorCode>().ok());
    let outside = CodeClass::Permanent(EndedBy::Outside);
    let passing = CodeClass::Transient(EndedBy::Outside);
    match code.filter(|code| [outside, passing].contains(&code.class())) {
        Some(code) => format!(
            "run {run_id}: `errand explain {code}` says what to do, `errand inspect-run` tells more"
        ),
        None => format!("run {run_id}: `errand logs` and `errand inspect-run` tell more"),
    }
}
