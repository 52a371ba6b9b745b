//! Questions of a replayed agent to people, answered by the record.

use errand_agent::agent_api::{ApprovalCall, InputCall, Refusal};
use errand_api::agent_protocol::{ApprovalAnswer, InputAnswer};

use super::Replayed;
use crate::supervise::backend::approval_answer;

impl Replayed {
    pub(super) async fn approval(&self, ask: ApprovalCall) -> Result<ApprovalAnswer, Refusal> {
        let asked = self.journaled.asked_approval(&ask, |text| self.translate.text(text));
        let id = asked.approval_id;
        let shown = format!("{} {}\n{}", asked.action, asked.target, asked.digest);
        self.compare(|record| record.people().approve(&id, &shown)).await?;
        let verdict = self.asked.approvals.get(&id).and_then(|known| known.verdict.clone());
        Ok(approval_answer(id, asked.digest.to_string(), verdict, false))
    }

    pub(super) async fn input(&self, ask: InputCall) -> Result<InputAnswer, Refusal> {
        let asked = self.journaled.asked_input(&ask, |text| self.translate.text(text));
        let id = asked.input_id;
        self.compare(|record| record.people().input(&id, &asked.prompt)).await?;
        let reply = self.asked.inputs.get(&id).and_then(|known| known.reply.clone());
        self.journaled.input_answer(id, reply, false)
    }
}
