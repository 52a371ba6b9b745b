//! Handover requests of an agent.

use errand_agent::agent_api::Refusal;
use errand_api::agent_protocol::{HandOver, HandOverAnswer};
use errand_api::error_code::ErrorCode;
use errand_model::Payload;
use errand_model::coordination::HANDOFF_LIMIT;
use errand_model::event::{EventBody, HandoffRequested};

use super::{AttemptBackend, refusal};
use crate::Error;
use crate::handover;

impl AttemptBackend {
    /// Records the agent that the run is handed over to once it ends well. The last request counts,
    /// and the successor keeps its id.
    pub(super) async fn handed_over(&self, handoff: HandOver) -> Result<HandOverAnswer, Refusal> {
        self.journal.look(|run, _| check(run, &handoff))?;
        let known = self.journal.look(|run, _| run.handoff.as_ref().map(|it| it.run_id.clone()));
        let run_id = match known {
            Some(run_id) => run_id,
            None => self.engine.new_run_id().map_err(|error| refusal(&error.into()))?,
        };
        let requested = HandoffRequested {
            to: handoff.to,
            summary: self.masked_text(&handoff.summary),
            input: handoff.input.map(|input| self.kept(Payload::Json(input))).transpose()?,
            artifacts: handoff.artifacts,
            run_id: run_id.clone(),
        };
        let run = self.journal.look(|run, _| run.clone());
        handover::check(&self.engine, &run, &requested).map_err(|error| invalid(&error.into()))?;
        self.report_all(vec![EventBody::HandoffRequested(requested)]).await?;
        Ok(HandOverAnswer { run_id: run_id.to_string() })
    }
}

/// Returns the refusal for a successor that cannot be admitted.
fn invalid(error: &Error) -> Refusal {
    Refusal::new(422, ErrorCode::HandoffInvalid, super::super::outcome::chain(error))
}

/// Checks that the run can be handed over like that.
fn check(run: &errand_model::run::Run, handoff: &HandOver) -> Result<(), Refusal> {
    let invalid = |text: String| Refusal::new(422, ErrorCode::HandoffInvalid, text);
    if handoff.summary.trim().is_empty() {
        return Err(invalid("the summary is empty".to_owned())
            .with_hint("say what was done, and what is left to do"));
    }
    if !run.spec.handoffs.contains_key(&handoff.to) {
        let known: Vec<&str> = run.spec.handoffs.keys().map(String::as_str).collect();
        let text = format!("the agent file names no {:?} to hand the run over to", handoff.to);
        let hint = if known.is_empty() {
            "add it to the agent file: `handoffs: [NAME]`".to_owned()
        } else {
            format!("it names {}", known.join(", "))
        };
        return Err(invalid(text).with_hint(hint));
    }
    let missing = handoff.artifacts.iter().find(|name| !run.artifacts.contains_key(*name));
    if let Some(name) = missing {
        return Err(invalid(format!("the run has no artifact {name:?}"))
            .with_hint("keep it first: `errand agent artifact PATH`"));
    }
    if handover::number(run) >= HANDOFF_LIMIT {
        let text =
            format!("the run was handed over {HANDOFF_LIMIT} times: that is as often as may be");
        return Err(Refusal::new(409, ErrorCode::TooManyHandoffs, text));
    }
    Ok(())
}
