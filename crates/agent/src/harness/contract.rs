//! The trait of harnesses, through which the engine drives an agent.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use errand_api::error_code::ErrorCode;
use serde_json::Value;

use crate::agent_api::Backend;
use crate::target::{Exit, Live};

/// Way in which errand drives an agent.
#[async_trait]
pub trait Harness: Debug + Send + Sync {
    /// Returns the name that agent files and journals use, such as `command`.
    fn name(&self) -> &'static str;

    /// Returns how stdin and stdout of the agent are used.
    fn streams(&self) -> StreamUse;

    /// Drives an agent that was just started, to its end. Reports to `backend` what the agent does,
    /// as the agent API would: steps, events, questions to people.
    ///
    /// Stopping and freezing happen at the same time, through `live`; a stopped agent ends, and
    /// then this returns. Dropped if another process takes over the run.
    ///
    /// # Errors
    ///
    /// As [`Live::wait`]. An agent's violation of the protocol is not an error, but an
    /// [`AgentFailure`].
    async fn drive(&self, live: &dyn Live, backend: Arc<dyn Backend>) -> io::Result<Ended>;
}

/// Use of an agent's stdin and stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamUse {
    /// Stdin has the run's input; stdout is log, and the output of a run that sets none.
    Payload,
    /// Both carry a protocol, through [`Live::take_conversation`].
    Conversation,
}

/// End of an agent, as its harness reports it.
#[derive(Clone, Debug)]
pub struct Ended {
    /// End of its process.
    pub exit: Exit,
    /// Reason to count the attempt as failed; `None`: it ended well. The agent's own report and the
    /// step that failed last take precedence.
    pub failure: Option<AgentFailure>,
    /// Output that the agent gave through its protocol. Takes precedence over the output file, the
    /// output set through the agent API, and stdout.
    pub answer: Option<Value>,
}

/// Reason why an agent did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFailure {
    /// Code of the failure.
    pub code: ErrorCode,
    /// Text for people, without the agent's secrets.
    pub message: String,
}
