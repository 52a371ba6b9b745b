//! Questions of a server's runs to people.

use async_trait::async_trait;
use errand_api::gateway::people::{DecideApproval, Decided, ProvideInput, Provided};
use errand_api::question::QuestionList;
use errand_engine::ask::{Decide, Provide};
use errand_engine::operations::PeopleOperations;
use errand_model::RunId;
use errand_store::Questions;

use super::Remote;
use crate::failure::Failure;

#[async_trait]
impl PeopleOperations<Failure> for Remote {
    async fn questions(&self, which: Questions) -> Result<QuestionList, Failure> {
        let all = matches!(which, Questions::All);
        self.query(&["approvals"], &[("all", all.to_string())]).await
    }

    async fn apply_due_deadlines(&self) -> Result<Vec<Failure>, Failure> {
        Ok(Vec::new())
    }
}

impl Remote {
    /// Decides an approval. Returns its id and run.
    pub(crate) async fn decide(&self, run_id: &RunId, decide: &Decide) -> Result<Decided, Failure> {
        let body = DecideApproval {
            decision: decide.verdict,
            comment: decide.comment.clone(),
            digest: decide.digest.as_ref().map(ToString::to_string),
            by: Some(decide.by.clone()),
        };
        let run_id = run_id.as_str();
        match &decide.approval_id {
            Some(id) => self.post(&["runs", run_id, "approvals", id], &body).await,
            None => self.post(&["runs", run_id, "approvals"], &body).await,
        }
    }

    /// Answers a question. Returns its id.
    pub(crate) async fn provide(
        &self,
        run_id: &RunId,
        provide: &Provide,
    ) -> Result<String, Failure> {
        let body = ProvideInput {
            input_id: provide.input_id.clone(),
            answer: provide.answer.clone(),
            by: Some(provide.by.clone()),
        };
        let provided: Provided = self.post(&["runs", run_id.as_str(), "input"], &body).await?;
        Ok(provided.input_id)
    }
}
