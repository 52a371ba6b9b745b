//! Refusals of the agent API for errors of the engine.

use errand_agent::agent_api::Refusal;
use errand_api::error_code::ErrorCode;
use errand_model::step::StepRefused;

use crate::Error;
use crate::error::PayloadRefused;
use crate::journal::JournalProblem;
use crate::supervise::outcome::chain;

/// Returns the refusal that an agent gets for an error.
pub(in crate::supervise) fn refusal(error: &Error) -> Refusal {
    if let Error::Step(refused) = error {
        let (status, code) = match refused {
            StepRefused::Key { .. } => (422, ErrorCode::StepKeyInvalid),
            StepRefused::Changed { .. } => {
                let hint = "give each step a key of its own, and keep what differs between \
                            attempts out of its command";
                return Refusal::new(409, ErrorCode::StepChanged, refused.to_string())
                    .with_hint(hint);
            }
            StepRefused::NotBegun { .. } => (409, ErrorCode::StepNotBegun),
            StepRefused::AlreadyCompleted { .. } => (409, ErrorCode::StepConflict),
        };
        return Refusal::new(status, code, refused.to_string());
    }
    if let Error::Payload(PayloadRefused { reason }) = error {
        return Refusal::new(422, ErrorCode::EventInvalid, reason.clone());
    }
    if error.code() == ErrorCode::DiskFull {
        return Refusal::new(507, ErrorCode::DiskFull, chain(error))
            .with_hint("free some space on the disk of the registry, then do it again");
    }
    if matches!(
        error,
        Error::Rejected(_) | Error::Ending(_) | Error::Journal(JournalProblem::Lost { .. })
    ) {
        return Refusal::fenced();
    }
    Refusal::internal(chain(error))
}
