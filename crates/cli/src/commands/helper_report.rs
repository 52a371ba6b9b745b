//! Report of a helper about the run that it was started for, as `errand run -d` shows it.

use errand_api::error_code::ErrorCode;
use errand_engine::Engine;
use errand_engine::launch::HelperReport;
use errand_engine::service::address_holder;
use errand_model::RunId;

use crate::context::Context;
use crate::failure::Failure;

/// Returns the failure that a helper reported. A run that goes on after its first attempt is none: a note
/// says so.
pub(super) async fn check(
    context: &Context,
    engine: &Engine,
    run_id: &RunId,
    report: HelperReport,
) -> Result<(), Failure> {
    match report {
        HelperReport::Began => Ok(()),
        HelperReport::FirstAttemptFailed { message } => {
            context.printer.note(&format!("attempt 1 failed, another follows: {message}"));
            Ok(())
        }
        HelperReport::Failed { code, message, exit_code } => {
            let hint = match listens_there(engine, run_id, &code).await {
                Some(hint) => hint,
                None => format!("`errand inspect-run {run_id}` shows the failed run"),
            };
            Err(Failure::of_run(&code, &message).hint(hint).exit_with(exit_code))
        }
    }
}

/// Returns a hint at the service that has the address which the run needs, and how to end it.
pub(super) async fn listens_there(engine: &Engine, run_id: &RunId, code: &str) -> Option<String> {
    if code != ErrorCode::ListenAddressInUse.as_str() {
        return None;
    }
    // Only a hint: on an error the failure stays as it is.
    let holder = address_holder(engine, run_id).await.ok()??;
    let (id, name) = (holder.run_id, holder.name);
    Some(format!("run {id} ({name}) listens there: `errand stop {id}` ends it"))
}
