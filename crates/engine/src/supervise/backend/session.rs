//! Calls of the agent about its session: state, history, results of tools.

use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{KeptResult, Refusal, SessionBackend};
use errand_api::agent_protocol::{self, MessagesAnswer, SessionAnswer, limit};
use errand_api::error_code::ErrorCode;
use errand_model::event::{
    EventBody, SessionAppended, SessionCached, SessionMessage, SessionUpdated,
};
use errand_model::{Digest, Payload, Timestamp};
use errand_store::{ResultLookup, SessionState};
use serde_json::Value;

use super::super::session;
use super::{AttemptBackend, refusal};

/// Messages read at once while their bytes are counted.
const PAGE: u32 = 100;

#[async_trait]
impl SessionBackend for AttemptBackend {
    async fn session(&self) -> Result<SessionAnswer, Refusal> {
        let session_id = self.session_id()?;
        let stored = self.engine.store().session(&session_id).await;
        let stored = stored.map_err(|error| refusal(&error.into()))?;
        let (revision, state) =
            stored.map_or((0, Value::Null), |stored| (stored.revision, stored.state));
        Ok(SessionAnswer { session_id, revision, state })
    }

    async fn put_session(&self, state: Value, seen: Option<u64>) -> Result<SessionAnswer, Refusal> {
        let state = self.masked_json(state);
        let kept = self.kept(Payload::Json(state.clone()))?;
        loop {
            let SessionAnswer { session_id, revision, .. } = self.session().await?;
            let put = SessionState {
                session_id: session_id.clone(),
                revision,
                state: state.clone(),
                updated_at: self.engine.now(),
            };
            match self.engine.store().put_session(put, seen.unwrap_or(revision)).await {
                Ok(revision) => {
                    let run_id = self.journal.run_id();
                    session::write_file(&self.engine, run_id, &session_id, (revision, &state));
                    let updated =
                        SessionUpdated { session_id: session_id.clone(), revision, state: kept };
                    self.report_all(vec![EventBody::SessionUpdated(updated)]).await?;
                    return Ok(SessionAnswer { session_id, revision, state });
                }
                // Any state is to be replaced, and it changed meanwhile.
                Err(errand_store::Error::Revision { .. }) if seen.is_none() => {}
                Err(error @ errand_store::Error::Revision { .. }) => {
                    return Err(Refusal::new(409, ErrorCode::SessionConflict, error.to_string()));
                }
                Err(error) => return Err(refusal(&error.into())),
            }
        }
    }

    async fn session_messages(
        &self,
        before: Option<u64>,
        last: u32,
    ) -> Result<MessagesAnswer, Refusal> {
        let session_id = self.session_id()?;
        let total = self.count_messages(&session_id).await?;
        let (mut messages, mut before, mut bytes) = (Vec::new(), before, 0);
        'pages: loop {
            let wanted = last.saturating_sub(u32::try_from(messages.len()).unwrap_or(u32::MAX));
            let read = self.engine.store().session_messages(&session_id, before, wanted.min(PAGE));
            let read = read.await.map_err(|error| refusal(&error.into()))?;
            let Some(oldest) = read.first() else { break };
            before = Some(oldest.number);
            for stored in read.into_iter().rev() {
                let (content, encoding) = agent_protocol::unpack(self.fetched(&stored.content)?)
                    .map_err(|error| Refusal::internal(error.to_string()))?;
                bytes += content.to_string().len();
                if bytes > limit::MESSAGES_ANSWER_BYTES && !messages.is_empty() {
                    break 'pages;
                }
                messages.push(agent_protocol::AgentSessionMessage {
                    number: stored.number,
                    run_id: stored.run_id.to_string(),
                    role: stored.role,
                    content,
                    encoding,
                    at_ms: stored.at.as_millis(),
                });
            }
        }
        messages.reverse();
        Ok(MessagesAnswer { session_id, total, messages })
    }

    async fn append_messages(&self, messages: Vec<SessionMessage>) -> Result<(), Refusal> {
        let session_id = self.session_id()?;
        let kept = |message: SessionMessage| {
            Ok(SessionMessage { role: message.role, content: self.kept(message.content)? })
        };
        let messages = messages.into_iter().map(kept).collect::<Result<Vec<_>, Refusal>>()?;
        let appended = SessionAppended { session_id, messages };
        self.report_all(vec![EventBody::SessionAppended(appended)]).await
    }

    async fn session_result(
        &self,
        tool: &str,
        key: &Digest,
    ) -> Result<Option<KeptResult>, Refusal> {
        let session_id = self.session_id()?;
        let tool = self.redactor.redact(tool).into_owned();
        let lookup = ResultLookup { session_id, tool, input_digest: key.clone() };
        let found = self.engine.store().session_result(&lookup, self.engine.now()).await;
        let Some(found) = found.map_err(|error| refusal(&error.into()))? else { return Ok(None) };
        Ok(Some(KeptResult {
            result: self.fetched(&found.result)?,
            run_id: found.run_id,
            expires_at: found.expires_at,
        }))
    }

    async fn keep_session_result(
        &self,
        tool: &str,
        key: Digest,
        result: Payload,
        ttl: Duration,
    ) -> Result<Timestamp, Refusal> {
        let expires_at = self.engine.now().plus(ttl);
        let cached = SessionCached {
            session_id: self.session_id()?,
            tool: self.redactor.redact(tool).into_owned(),
            input_digest: key,
            result: self.kept(result)?,
            expires_at_ms: Some(expires_at),
        };
        self.report_all(vec![EventBody::SessionCached(cached)]).await?;
        Ok(expires_at)
    }
}

impl AttemptBackend {
    pub(in crate::supervise) fn session_id(&self) -> Result<String, Refusal> {
        self.journal.look(|run, _| run.spec.session_id.clone()).ok_or_else(|| {
            Refusal::new(404, ErrorCode::SessionMissing, "this run belongs to no session")
                .with_hint("start it with --session NAME")
        })
    }

    /// Returns the number of messages in a session.
    pub(in crate::supervise) async fn count_messages(
        &self,
        session_id: &str,
    ) -> Result<u64, Refusal> {
        let found = self.engine.store().session_length(session_id).await;
        found.map_err(|error| refusal(&error.into()))
    }
}
