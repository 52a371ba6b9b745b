//! Backend of the calls that an agent makes through the tool gateway.

use std::time::Duration;

use async_trait::async_trait;
use errand_model::Payload;
use errand_model::event::Failure;
use serde_json::{Map, Value};

use super::StepCall;
use crate::agent_api::Refusal;

/// Answers the tool gateway. `Ok` means that the call's effect is durable.
///
/// A tool call is a step. Values come from the agent and from tool servers and may contain secrets:
/// the backend masks them.
#[async_trait]
pub trait ToolCallBackend {
    /// Begins a tool call, before its server is called: asks the policies, reserves its part of the
    /// budget and records the begin; or returns the recorded end of the call.
    ///
    /// # Errors
    ///
    /// The refusal of the call. Nothing is reserved or begun then.
    async fn begin_tool_call(&self, call: ToolCallStart) -> Result<ToolCallBegun, Refusal>;

    /// Records the end of a tool call in one commit, and settles its reservation.
    ///
    /// # Errors
    ///
    /// If nothing was recorded.
    async fn end_tool_call(&self, end: ToolCallEnd) -> Result<(), Refusal>;

    /// Asks the policies about the result of a tool, before its end is recorded. Returns the result
    /// that the agent gets in its place, if a policy changed it.
    ///
    /// # Errors
    ///
    /// The refusal that the agent gets in place of the result.
    async fn permit_result(&self, _answered: AnsweredTool<'_>) -> Result<Option<Value>, Refusal> {
        Ok(None)
    }

    /// Returns the recorded result of a completed step, such as the list of tools.
    ///
    /// # Errors
    ///
    /// If the result cannot be read.
    async fn recorded_step(&self, key: &str) -> Result<Option<Payload>, Refusal>;

    /// Returns true if the call was answered in this attempt by an earlier supervisor: an equal call
    /// now is another one.
    fn was_answered(&self, _key: &str) -> bool {
        false
    }

    /// Compares the rules of policies about tools with the tools that there are. Returns notes for the
    /// log of the run.
    ///
    /// # Errors
    ///
    /// The failure for which the attempt ends: a rule names a tool that there is not.
    fn check_tool_rules(&self, _tools: &[CalledTool]) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    /// Returns true if the policies deny a tool whatever its arguments are.
    ///
    /// # Errors
    ///
    /// If the policies cannot be read.
    fn denies_tool(&self, tool: &CalledTool) -> Result<bool, Refusal>;
}

/// Tool that is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalledTool {
    /// Name of the server.
    pub server: String,
    /// Name of the tool on that server.
    pub name: String,
    /// Name of the tool for the agent.
    pub offered: String,
}

/// A tool call that is about to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCallStart {
    /// Key of the step.
    pub key: String,
    /// Description of the step, with the digest of the call.
    pub step: StepCall,
    /// Tool that is called.
    pub tool: CalledTool,
    /// Arguments of the call.
    pub arguments: Value,
    /// True if the call may be made again after it was cut.
    pub is_repeatable: bool,
    /// Time for which the call waits for a person, before its agent is ended until the decision.
    pub patience: Duration,
}

/// Answer to the begin of a tool call.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolCallBegun {
    /// The server is to be called.
    Call {
        /// Reservation that the end of the call settles.
        reservation_id: String,
        /// Arguments as a policy changed them, if one did.
        changed: Option<Value>,
        /// Key for servers that do things once.
        idempotency_key: String,
    },
    /// The call was made already, with this result.
    Recorded(Option<Payload>),
    /// The call failed for good, and is not to be made: it was cut, or it failed in the run that is
    /// replayed.
    Failed(Failure),
}

/// A tool call whose server answered.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredTool<'a> {
    /// Key of the step.
    pub key: &'a str,
    /// Tool that was called.
    pub tool: &'a CalledTool,
    /// Arguments of the call.
    pub arguments: &'a Value,
    /// Result of the tool.
    pub result: &'a Value,
}

/// End of a tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCallEnd {
    /// Key of the step.
    pub key: String,
    /// Reservation of the call.
    pub reservation_id: String,
    /// Data of the event `tool.called`.
    pub called: Map<String, Value>,
    /// Result of the step.
    pub result: ToolCallResult,
}

/// Result of a tool call.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolCallResult {
    /// The server answered.
    Completed(Payload),
    /// The call failed, and may be made again.
    Failed(Failure),
}
