//! Model calls of an agent in a strict replay.

use async_trait::async_trait;
use errand_agent::agent_api::{
    Backend as _, ModelCallBackend, ModelCallBegun, ModelCallEnd, ModelCallStart, ModelTryFailed,
    Refusal, StepBegun,
};

use super::Replayed;

#[async_trait]
impl ModelCallBackend for Replayed {
    /// Serves the call from the record: no provider is called and nothing is spent.
    async fn begin_model_call(&self, call: ModelCallStart) -> Result<ModelCallBegun, Refusal> {
        self.check_model_call(&call).await?;
        match self.begin_step(&call.key, call.step).await? {
            StepBegun::Done(result) => Ok(ModelCallBegun::Recorded(result)),
            StepBegun::Failed { error, .. } => Ok(ModelCallBegun::Failed(error)),
            StepBegun::Run { .. } => Err(Refusal::internal("a strict replay makes no call")),
        }
    }

    async fn fall_back(&self, _failed: ModelTryFailed) -> Result<String, Refusal> {
        Err(Refusal::internal("a strict replay makes no call"))
    }

    async fn end_model_call(&self, _end: ModelCallEnd) -> Result<(), Refusal> {
        Err(Refusal::internal("a strict replay makes no call"))
    }
}
