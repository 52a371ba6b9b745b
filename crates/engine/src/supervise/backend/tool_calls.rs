//! Calls of an attempt's agent to tools, through the tool gateway.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{
    AnsweredTool, CalledTool, Refusal, StepCall, StepCallResult, ToolCallBackend, ToolCallBegun,
    ToolCallEnd, ToolCallResult, ToolCallStart,
};
use errand_api::agent_protocol::{Reserve, ReserveAnswer, ReserveKind};
use errand_api::error_code::ErrorCode;
use errand_model::Payload;
use errand_model::accounting::TOOL_CALLED;
use errand_model::event::Failure;
use errand_model::run::{Effect, RequestApproval};
use errand_model::step::{StepResult, StepState};
use serde_json::Value;
use tokio::time::timeout;

use super::budget::{self, ReservedBy};
use super::model_calls::CallRequest;
use super::{AttemptBackend, refusal};
use crate::supervise::event::DEFAULT_GRACE;

/// State of a tool call in the journal.
enum KnownCall {
    /// The call is to be made: it was not begun in this run, or it failed.
    ToBeMade,
    /// The call was completed.
    Completed(StepResult),
    /// The call failed for good.
    Failed(Failure),
    /// The call was begun, and its end is not known.
    Cut,
}

#[async_trait]
impl ToolCallBackend for AttemptBackend {
    async fn begin_tool_call(&self, call: ToolCallStart) -> Result<ToolCallBegun, Refusal> {
        let key = self.redactor.redact(&call.key).into_owned();
        match self.known_call(&key) {
            KnownCall::Completed(result) => return self.served(&result).await,
            KnownCall::Failed(failure) => return Ok(ToolCallBegun::Failed(failure)),
            KnownCall::Cut if !call.is_repeatable => {
                return self.interrupted(&key, &call.tool).await.map(ToolCallBegun::Failed);
            }
            KnownCall::Cut | KnownCall::ToBeMade => {}
        }
        let reserve = Reserve {
            kind: ReserveKind::Tool,
            tokens: None,
            output_tokens: None,
            cost_usd: None,
            provider: None,
            model: None,
            tool: Some(call.tool.offered.clone()),
            arguments: Some(call.arguments),
            step: Some(key.clone()),
        };
        let reserved = match self.reserve_or_park((&key, &call.tool), reserve, call.patience).await
        {
            Ok(reserved) => reserved,
            Err(refused) => {
                let failure = self.denied(key, call.step, refused).await?;
                return Ok(ToolCallBegun::Failed(failure));
            }
        };
        let reservation_id = reserved.reservation_id;
        match self.record_call(key, call.step, CallRequest::default()).await {
            Ok(_) => Ok(ToolCallBegun::Call {
                reservation_id,
                changed: reserved.arguments,
                idempotency_key: reserved.idempotency_key.unwrap_or_default(),
            }),
            Err(refused) => {
                self.give_back(&reservation_id).await?;
                Err(refused)
            }
        }
    }

    async fn end_tool_call(&self, end: ToolCallEnd) -> Result<(), Refusal> {
        let ToolCallEnd { key, reservation_id, mut called, result } = end;
        let key = self.redactor.redact(&key).into_owned();
        called.insert("reservation_id".to_owned(), reservation_id.into());
        called.insert("step".to_owned(), key.clone().into());
        let called = vec![self.event_of_call(TOOL_CALLED, called).await?];
        let result = match result {
            ToolCallResult::Completed(output) => {
                Ok(StepCallResult { output: Some(self.kept(output)?), stderr: None })
            }
            ToolCallResult::Failed(failure) => Err(Failure {
                message: self.redactor.redact_excerpt(&failure.message).into_owned(),
                ..failure
            }),
        };
        self.record_end(&key, called.clone(), result).await?;
        self.steps_changed.notify_one();
        self.settle(&called).await
    }

    async fn permit_result(&self, answered: AnsweredTool<'_>) -> Result<Option<Value>, Refusal> {
        self.permit_tool_result(answered).await
    }

    async fn recorded_step(&self, key: &str) -> Result<Option<Payload>, Refusal> {
        let Some(result) = self.recorded_call(key) else { return Ok(None) };
        Ok(self.fetched_result(&result)?.output)
    }

    fn was_answered(&self, key: &str) -> bool {
        self.is_adopted
            && self.journal.look(|_, steps| {
                steps.get(key).is_some_and(|step| {
                    step.attempt == self.attempt && matches!(step.state, StepState::Completed(_))
                })
            })
    }

    fn check_tool_rules(&self, tools: &[CalledTool]) -> Result<Vec<String>, Failure> {
        self.idle_tool_rules(tools)
    }

    fn denies_tool(&self, tool: &CalledTool) -> Result<bool, Refusal> {
        let policies = self.policies()?;
        Ok(policies.denies_tool(&[tool.offered.as_str(), tool.name.as_str()]))
    }
}

impl AttemptBackend {
    fn known_call(&self, key: &str) -> KnownCall {
        self.journal.look(|_, steps| match steps.get(key).map(|step| &step.state) {
            Some(StepState::Completed(result)) => KnownCall::Completed(result.clone()),
            Some(StepState::Failed { error, .. })
                if error.code.as_str() == ErrorCode::InterruptedEffect.as_str() =>
            {
                KnownCall::Failed(error.clone())
            }
            Some(StepState::Failed { error, .. })
                if error.code.as_str() == ErrorCode::HelperDied.as_str() =>
            {
                KnownCall::Cut
            }
            Some(StepState::Started) => KnownCall::Cut,
            Some(StepState::Failed { .. }) | None => KnownCall::ToBeMade,
        })
    }

    /// Serves a call from the record, but only once the record is durable.
    async fn served(&self, result: &StepResult) -> Result<ToolCallBegun, Refusal> {
        let head = self.journal.head_seq();
        self.journal.durable(head).await.map_err(|error| refusal(&error.into()))?;
        Ok(ToolCallBegun::Recorded(self.fetched_result(result)?.output))
    }

    /// Records that a call was cut off whose effect may have happened: it is not made again.
    async fn interrupted(&self, key: &str, tool: &CalledTool) -> Result<Failure, Refusal> {
        let message = format!(
            "the call of {} was begun before this attempt of the agent and was cut off: its effect \
             may have happened, and its result is not known",
            tool.offered
        );
        let failure = Failure::new(ErrorCode::InterruptedEffect, message);
        self.record_end(key, Vec::new(), Err(failure.clone())).await?;
        self.steps_changed.notify_one();
        Ok(failure)
    }

    /// Records that a call was refused, so that a replay of the run knows it.
    async fn denied(
        &self,
        key: String,
        step: StepCall,
        refused: Refusal,
    ) -> Result<Failure, Refusal> {
        let failure = Failure::new(refused.code, refused.message);
        self.record_call(key.clone(), step, CallRequest::default()).await?;
        self.record_end(&key, Vec::new(), Err(failure.clone())).await?;
        self.steps_changed.notify_one();
        Ok(failure)
    }

    /// Reserves a part of the budget. If a person who is asked does not decide in time, the agent is
    /// ended, and the next attempt makes the call.
    async fn reserve_or_park(
        &self,
        (key, tool): (&str, &CalledTool),
        call: Reserve,
        patience: Duration,
    ) -> Result<ReserveAnswer, Refusal> {
        let patience = self.patience(patience)?;
        loop {
            let reserved = self.reserve_tool_call(call.clone(), tool);
            if let Ok(reserved) = timeout(patience, reserved).await {
                return reserved;
            }
            if self.park_for(key).await? {
                return std::future::pending().await;
            }
        }
    }

    /// Ends the agent until the person decides who is asked about a call: an agent that knows nothing
    /// of questions cannot park by itself. False: no person is asked.
    pub(super) async fn park_for(&self, key: &str) -> Result<bool, Refusal> {
        let asked = self.journal.look(|run, _| {
            let mut open = run.approvals.values().filter(|approval| approval.verdict.is_none());
            let asked = open.find(|approval| approval.request.step.as_deref() == Some(key));
            asked.map(|approval| approval.request.clone())
        });
        // A call that waits for room in the budget waits on.
        let Some(asked) = asked else { return Ok(false) };
        let ask = RequestApproval::parked(self.attempt, asked);
        let decided = self.journal.command(&ask.into()).await;
        let mut effects = decided.map_err(|error| refusal(&error.into()))?.effects;
        effects.push(Effect::StopAgent { grace: DEFAULT_GRACE });
        self.parks.store(true, Ordering::Release);
        self.order(effects);
        Ok(true)
    }

    /// Reserves a part of the budget, and waits as long as a policy asks a person: a client of a
    /// tool does not ask again.
    async fn reserve_tool_call(
        &self,
        call: Reserve,
        tool: &CalledTool,
    ) -> Result<ReserveAnswer, Refusal> {
        loop {
            let id = budget::reservation_id(ReservedBy::Gateway)?;
            match self.reserve_for(call.clone(), Some(tool), id).await {
                Err(refusal) if refusal.code == ErrorCode::ApprovalPending => {}
                reserved => return reserved,
            }
        }
    }
}
