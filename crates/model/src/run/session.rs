//! Messages of a run in its session whose agent does not use sessions itself.

use super::Run;
use crate::event::{Replay, ReplayPolicy, SessionAppended, SessionMessage};
use crate::{Blob, Payload};

/// The longest input or output that becomes a message as it is. A longer one would make every later
/// run of the session read it: the message then says where it is.
pub const MESSAGE_LIMIT_BYTES: u64 = 1024 * 1024;

const USER: &str = "user";
const ASSISTANT: &str = "assistant";

impl Run {
    /// The messages of a run that ends well with `output`, and whose agent appended none itself:
    /// what it was given, and what it gave. `None` if there is nothing to say, or nowhere, and for
    /// a run that only repeats what another one said.
    pub(super) fn said(&self, output: Option<&Payload>) -> Option<SessionAppended> {
        let is_repeated = |replay: &Replay| replay.policy == ReplayPolicy::Strict;
        if self.has_spoken || self.spec.replay.as_ref().is_some_and(is_repeated) {
            return None;
        }
        let session_id = self.spec.session_id.clone()?;
        let message = |role: &str, content: &Payload| SessionMessage {
            role: role.to_owned(),
            content: self.bounded(role, content),
        };
        let said = self.spec.input.iter().map(|input| message(USER, input));
        let messages: Vec<_> =
            said.chain(output.map(|output| message(ASSISTANT, output))).collect();
        (!messages.is_empty()).then_some(SessionAppended { session_id, messages })
    }

    fn bounded(&self, role: &str, content: &Payload) -> Payload {
        match content {
            Payload::Blob(Blob { size_bytes, .. }) if *size_bytes > MESSAGE_LIMIT_BYTES => {
                let what = if role == USER { "input" } else { "output" };
                Payload::Text(format!("{size_bytes} bytes: the {what} of run {}", self.id))
            }
            Payload::Json(_) | Payload::Text(_) | Payload::Base64(_) | Payload::Blob(_) => {
                content.clone()
            }
        }
    }
}
