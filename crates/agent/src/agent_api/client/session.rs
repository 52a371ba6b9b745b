//! What the client calls for a session's history and its results of tools.

use errand_api::agent_protocol::{
    AppendMessages, AppendMessagesAnswer, KeepResult, KeepResultAnswer, MessagesAnswer,
    ResultAnswer, path,
};
use errand_model::{Digest, canonical};
use hyper::Method;
use serde_json::Value;

use super::{Client, ClientError};

impl Client {
    /// The newest messages of the session, at most `last`; with `before` those before that number.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn messages(
        &mut self,
        last: u32,
        before: Option<u64>,
    ) -> Result<MessagesAnswer, ClientError> {
        let before = before.map_or(String::new(), |before| format!("&before={before}"));
        self.get(&format!("{}?last={last}{before}", path::SESSION_MESSAGES)).await
    }

    /// Appends to the session's history.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn append_messages(
        &mut self,
        messages: &AppendMessages,
    ) -> Result<AppendMessagesAnswer, ClientError> {
        self.send(Method::POST, path::SESSION_MESSAGES, messages).await
    }

    /// What a tool gave for `input`, if the session keeps it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn session_result(
        &mut self,
        tool: &str,
        input: &Value,
    ) -> Result<ResultAnswer, ClientError> {
        let key = Digest::of(canonical::to_string(input).as_bytes());
        self.get(&format!("{}?key={key}", path::session_results(tool))).await
    }

    /// Keeps what a tool gave.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn keep_session_result(
        &mut self,
        tool: &str,
        result: &KeepResult,
    ) -> Result<KeepResultAnswer, ClientError> {
        self.send(Method::PUT, &path::session_results(tool), result).await
    }
}
