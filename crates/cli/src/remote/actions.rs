//! Actions on live runs of a server.

use async_trait::async_trait;
use errand_api::gateway::people::{DecideApprovalBody, Decided, ProvideInputBody, Provided};
use errand_api::gateway::run::RunAction;
use errand_api::record::RunRecord;
use errand_engine::ask::{AnswerDraft, Wake};
use errand_engine::operations::{ActionOperations, RunOperations as _, Stopped};
use errand_model::budget::LimitName;
use errand_model::run::Cancel;
use errand_model::{RunId, run};
use reqwest::Method;
use serde_json::json;

use super::runs::{budgets, grace};
use super::{Remote, input};
use crate::failure::Failure;

#[async_trait]
impl ActionOperations<Failure> for Remote {
    async fn stop(&self, run_id: &RunId, cancel: &Cancel) -> Result<Stopped, Failure> {
        let before = self.record(run_id).await?;
        if before.is_terminal() {
            return Ok(Stopped { was_over: true, status: before.status });
        }
        let request = self.request(Method::POST, &["runs", run_id.as_str(), "cancel"]);
        let request = request.query(&[("wait", true)]).json(&grace(cancel.grace));
        let status = self.ask::<RunRecord>(request).await?.status;
        Ok(Stopped { was_over: false, status })
    }

    async fn act(&self, run_id: &RunId, action: RunAction) -> Result<(), Failure> {
        let mut request = self.request(Method::POST, &["runs", run_id.as_str(), action.verb]);
        if let Some(body) = &action.body {
            request = request.json(body);
        }
        self.ask::<RunRecord>(request).await?;
        Ok(())
    }

    async fn resume(
        &self,
        run_id: &RunId,
        raise: &[(LimitName, u64)],
        _by: String,
    ) -> Result<(), Failure> {
        let body = match budgets(raise) {
            Some(raise) => json!({ "raise": raise }),
            None => json!({}),
        };
        self.post::<RunRecord>(&["runs", run_id.as_str(), "resume"], &body).await?;
        Ok(())
    }

    async fn wake(&self, service: &RunId, wake: Wake) -> Result<RunId, Failure> {
        let body = match wake.input.as_deref().map(input::document_or_text).transpose()? {
            Some(input) => json!({ "input": input }),
            None => json!({}),
        };
        let record: RunRecord = self.post(&["runs", service.as_str(), "wake"], &body).await?;
        Ok(record.run_id)
    }

    async fn decide(
        &self,
        run_id: &RunId,
        decide: run::DecideApproval,
    ) -> Result<Decided, Failure> {
        let body = DecideApprovalBody {
            decision: decide.decision,
            comment: decide.comment,
            digest: decide.digest.map(|digest| digest.to_string()),
            by: Some(decide.by),
        };
        let run_id = run_id.as_str();
        match &decide.approval_id {
            Some(id) => self.post(&["runs", run_id, "approvals", id], &body).await,
            None => self.post(&["runs", run_id, "approvals"], &body).await,
        }
    }

    async fn provide(&self, run_id: &RunId, draft: AnswerDraft) -> Result<Provided, Failure> {
        let AnswerDraft { input_id, answer, by, decision_id: _ } = draft;
        let body = ProvideInputBody { input_id, answer, by: Some(by) };
        self.post(&["runs", run_id.as_str(), "input"], &body).await
    }

    async fn awaited_secrets(&self, run_id: &RunId) -> Result<Vec<String>, Failure> {
        let record = self.record(run_id).await?;
        Ok(record.pause.map(|pause| pause.secrets).unwrap_or_default())
    }
}
