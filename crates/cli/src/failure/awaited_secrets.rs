//! Messages about runs that wait for secrets.

use errand_api::error_code::ErrorCode;
use errand_model::RunId;

use crate::failure::Failure;

/// Returns the failure of a command after which a run waits for secrets.
pub(crate) fn failure(run_id: &RunId, names: &[String]) -> Failure {
    let noun = if names.len() == 1 { "secret" } else { "secrets" };
    let message = format!("run {run_id} waits for {noun} {}", names.join(", "));
    Failure::new(ErrorCode::SecretMissing, message).hint(way_on(run_id, names))
}

/// Returns how a run that waits for secrets is continued.
pub(crate) fn way_on(run_id: &RunId, names: &[String]) -> String {
    let set = names.iter().map(|name| format!("`errand secret set {name}`"));
    let set = set.collect::<Vec<_>>().join(", ");
    let set = if set.is_empty() { "`errand secret set NAME`".to_owned() } else { set };
    format!("{set}, then `errand resume {run_id}`")
}
