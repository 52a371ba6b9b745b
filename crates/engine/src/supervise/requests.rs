//! Answers to requests of other processes to a run.

use errand_model::event::PauseReason;
use errand_model::run::{
    Cancel, Command, DecideApproval, Effect, Pause, ProvideInput, Raise, Restart, Resume,
};
use errand_store::RequestKind;

use crate::journal::Journal;
use crate::{Engine, Error};

/// Turns all open requests into events, in order, and returns the effects to carry out.
///
/// A request that does not fit the run any more changes nothing; the next commit removes it.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn answer(engine: &Engine, journal: &Journal) -> Result<Vec<Effect>, Error> {
    let mut effects = Vec::new();
    for request in engine.store().requests(journal.run_id()).await? {
        let command: Command = match request.kind {
            RequestKind::Cancel { cause, by, grace } => Cancel { cause, by, grace }.into(),
            RequestKind::Restart { by, grace } => Restart { by, grace }.into(),
            RequestKind::Pause { by } => Pause { reason: PauseReason::Operator, by }.into(),
            RequestKind::Resume { by } => Resume { by }.into(),
            RequestKind::Decide { approval_id, verdict, by, comment, decision_id } => {
                let decision_id = Some(decision_id);
                let (decision, digest) = (verdict, None);
                DecideApproval { approval_id, decision, by, comment, digest, decision_id }.into()
            }
            RequestKind::Provide { input_id, answer, by, decision_id } => {
                ProvideInput { input_id, answer, by, decision_id: Some(decision_id) }.into()
            }
            RequestKind::Raise { limits, by } => Raise { limits, by }.into(),
            // A service answers this request itself.
            RequestKind::Wake { .. } => continue,
        };
        let ends_at_once = matches!(command, Command::Cancel(_))
            && journal.look(|run, _| run.live_attempt().is_none());
        let answered = if ends_at_once {
            journal.end(&command).await
        } else {
            journal.answer(&command, &[request.id]).await
        };
        match answered {
            Ok(decision) => effects.extend(decision.effects),
            Err(Error::Rejected(_)) => journal.forget(request.id),
            Err(Error::Closed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(effects)
}
