//! Extent of the record of a call, by the sampling of its agent.

use errand_agent::agent_api::{ModelCallResult, StepCallResult};
use serde_json::{Map, Value};

/// Extent of the record of a call.
#[derive(Debug)]
pub(crate) enum SampledCall {
    /// Its bodies are kept.
    Kept,
    /// Its bodies are not kept.
    LeftOut,
    /// Its request, with this data of its event, is kept if it fails.
    KeptIfFailed(Box<Map<String, Value>>),
}

impl SampledCall {
    /// Returns the data of the request as far as it is still to be kept, and the result as it is kept.
    pub(crate) fn sampled(
        &self,
        result: ModelCallResult,
    ) -> (Option<Map<String, Value>>, ModelCallResult) {
        match (self, result) {
            (Self::KeptIfFailed(_) | Self::LeftOut, ModelCallResult::Completed(_)) => {
                let left_out = StepCallResult { output: None, stderr: None };
                (None, ModelCallResult::Completed(left_out))
            }
            (Self::KeptIfFailed(data), failed @ ModelCallResult::Failed(_)) => {
                (Some(data.as_ref().clone()), failed)
            }
            (Self::Kept | Self::LeftOut, result) => (None, result),
        }
    }
}
