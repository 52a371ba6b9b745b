//! Tool calls of an agent in a strict replay.

use async_trait::async_trait;
use errand_agent::agent_api::{
    Backend as _, CalledTool, EgressBackend, EgressPermit, EgressTarget, EndedConnection, Refusal,
    StepBegun, ToolCallBackend, ToolCallBegun, ToolCallEnd, ToolCallStart,
};
use errand_api::error_code::ErrorCode;
use errand_model::Payload;

use super::Replayed;

#[async_trait]
impl EgressBackend for Replayed {
    async fn permit_connection(&self, _to: &EgressTarget) -> Result<EgressPermit, Refusal> {
        let message = "a strict replay reaches no host";
        Err(Refusal::new(403, ErrorCode::PolicyDenied, message))
    }

    /// Records nothing: the record has the connections.
    async fn connection_ended(&self, _ended: EndedConnection) -> Result<(), Refusal> {
        Ok(())
    }
}

#[async_trait]
impl ToolCallBackend for Replayed {
    /// Serves the call from the record: no server is called and nothing is spent.
    async fn begin_tool_call(&self, call: ToolCallStart) -> Result<ToolCallBegun, Refusal> {
        self.check_tool_call(&call).await?;
        match self.begin_step(&call.key, call.step).await? {
            StepBegun::Done(result) => Ok(ToolCallBegun::Recorded(result.output)),
            StepBegun::Failed { error, .. } => Ok(ToolCallBegun::Failed(error)),
            StepBegun::Run { .. } => Err(Refusal::internal("a strict replay makes no call")),
        }
    }

    async fn end_tool_call(&self, _end: ToolCallEnd) -> Result<(), Refusal> {
        Err(Refusal::internal("a strict replay makes no call"))
    }

    async fn recorded_step(&self, key: &str) -> Result<Option<Payload>, Refusal> {
        let begun = self.begin_step(key, errand_agent::agent_api::StepCall::default()).await?;
        match begun {
            StepBegun::Done(result) => Ok(result.output),
            StepBegun::Failed { .. } | StepBegun::Run { .. } => Ok(None),
        }
    }

    fn denies_tool(&self, _tool: &CalledTool) -> Result<bool, Refusal> {
        Ok(false)
    }
}
