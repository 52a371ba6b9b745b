//! Calls of the client for a session's history and its tool results.

use errand_api::agent_protocol::{
    AppendMessages, AppendMessagesAnswer, KeepResult, KeepResultAnswer, MessagesAnswer,
    ResultAnswer, path,
};
use errand_model::{Digest, canonical};
use hyper::Method;
use serde_json::Value;

use super::{Client, ClientError};

impl Client {
    /// Returns the newest messages of the session, at most `last`; with `before`, only those with a
    /// lower number.
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

    /// Appends messages to the session's history.
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

    /// Returns the tool's result for `input`, if the session keeps it.
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

    /// Keeps a tool's result.
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
