//! Harness that speaks a protocol of one question and one answer.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use errand_agent::agent_api::{Backend, StepBegun, StepCall, StepCallResult};
use errand_agent::harness::{AgentFailure, Ended, Harness, StreamUse};
use errand_agent::target::{Conversation, Live};
use errand_api::error_code::ErrorCode;
use errand_model::Payload;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

/// Key of the step that a question is.
const PROMPT: &str = "prompt";

/// Harness that writes the run's input as one line of JSON, and takes a line `answer TEXT` for the
/// output. The question is a step, so it is asked once in all attempts.
#[derive(Clone, Copy, Debug)]
pub struct ScriptedHarness {
    name: &'static str,
}

impl ScriptedHarness {
    /// Returns the harness under that name.
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

#[async_trait]
impl Harness for ScriptedHarness {
    fn name(&self) -> &'static str {
        self.name
    }

    fn streams(&self) -> StreamUse {
        StreamUse::Conversation
    }

    async fn drive(&self, live: &dyn Live, backend: Arc<dyn Backend>) -> io::Result<Ended> {
        let Some(conversation) = live.take_conversation() else {
            return Err(io::Error::other("the agent has no conversation"));
        };
        let answer = converse(conversation, backend.as_ref()).await;
        let exit = live.wait().await?;
        let (answer, broken) = match answer {
            Ok(answer) => (answer, None),
            Err(error) => (None, Some(failure(format!("the conversation broke: {error}")))),
        };
        let silent = || answer.is_none().then(|| failure("the agent gave no answer".to_owned()));
        let failure = AgentFailure::of_exit(&exit).or(broken).or_else(silent);
        Ok(Ended { exit, failure, answer })
    }
}

fn failure(message: String) -> AgentFailure {
    AgentFailure { code: ErrorCode::ExitNonzero, message }
}

/// Asks the agent, unless an earlier attempt did, and returns its answer.
async fn converse(
    mut conversation: Conversation,
    backend: &dyn Backend,
) -> io::Result<Option<Value>> {
    let refused = |refusal: errand_agent::agent_api::Refusal| io::Error::other(refusal.message);
    let checkin = backend.checkin().await.map_err(refused)?;
    let begun = backend.begin_step(PROMPT, StepCall::default()).await.map_err(refused)?;
    if let StepBegun::Done(StepCallResult { output: Some(Payload::Json(answer)), .. }) = begun {
        return Ok(Some(answer));
    }
    let question = format!("{}\n", checkin.input.unwrap_or_default());
    // An agent that ends without reading is not asked.
    drop(conversation.to_agent.write_all(question.as_bytes()).await);
    let mut lines = BufReader::new(conversation.from_agent).lines();
    let mut answer = None;
    while let Some(line) = lines.next_line().await? {
        if let Some(text) = line.strip_prefix("answer ") {
            let result = StepCallResult { output: Some(Payload::Json(text.into())), stderr: None };
            backend.complete_step(PROMPT, result).await.map_err(refused)?;
            answer = Some(text.into());
        }
    }
    Ok(answer)
}
