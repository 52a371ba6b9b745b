//! What an agent that is replayed asks people: the record answers, and nobody is asked.

use errand_agent::agent_api::{AskApproval, AskInput, Refusal};
use errand_api::agent_protocol::{ApprovalAnswer, InputAnswer};
use errand_model::replay::Divergence;

use super::Replayed;
use crate::supervise::backend::approval_answer;

impl Replayed {
    pub(super) async fn approval(&self, ask: AskApproval) -> Result<ApprovalAnswer, Refusal> {
        let asked = self.desk.asked_approval(&ask, |text| self.translate.text(text));
        let id = asked.approval_id;
        let verdict = self.asked.approvals.get(&id).and_then(|known| known.verdict.clone());
        if verdict.is_none() {
            let found = format!("{} on {} ({})", asked.action, asked.target, asked.digest);
            let divergence = nothing("an approval", asked.step, found);
            self.compare(|_| Err::<(), _>(divergence)).await?;
        }
        Ok(approval_answer(id, asked.digest.to_string(), verdict, false))
    }

    pub(super) async fn input(&self, ask: AskInput) -> Result<InputAnswer, Refusal> {
        let asked = self.desk.asked_input(&ask, |text| self.translate.text(text));
        let id = asked.input_id;
        let reply = self.asked.inputs.get(&id).and_then(|known| known.reply.clone());
        if reply.is_none() {
            let divergence = nothing("a question", asked.step, asked.prompt);
            self.compare(|_| Err::<(), _>(divergence)).await?;
        }
        self.desk.input_answer(id, reply, false)
    }
}

fn nothing(what: &str, step: Option<String>, found: String) -> Divergence {
    Divergence { step, what: what.to_owned(), expected: None, found: Some(found) }
}
