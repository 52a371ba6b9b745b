//! Session in a strict replay: the state that the recorded run loaded, with the replay's own
//! changes. Nothing is written.

use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{KeptResult, Refusal, SessionBackend};
use errand_api::agent_protocol::{self, MessagesAnswer, SessionAnswer};
use errand_api::error_code::ErrorCode;
use errand_model::event::{SessionLoaded, SessionMessage};
use errand_model::{Digest, Payload, RunId, Timestamp};
use errand_store::ResultLookup;
use serde_json::Value;

use super::Replayed;
use crate::payload;
use crate::supervise::backend::refusal;

/// Messages read at once.
const PAGE: u32 = 200;

/// Changes that the replay made to the session so far.
#[derive(Debug, Default)]
pub(super) struct SessionReplay {
    /// Last state that it wrote, and the number of writes.
    state: Option<Value>,
    writes: u64,
    said: Vec<(Timestamp, SessionMessage)>,
    kept: Vec<(String, Digest, Payload, Timestamp)>,
}

impl Replayed {
    /// Returns the session that the recorded run loaded, and the time of that.
    pub(super) fn loaded(&self) -> Result<(Timestamp, SessionLoaded), Refusal> {
        self.journaled.session_id()?;
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.session().loaded().cloned().ok_or_else(|| {
            let message = "the recorded run did not look into its session";
            Refusal::new(404, ErrorCode::SessionMissing, message)
        })
    }

    fn talk<T>(&self, change: impl FnOnce(&mut SessionReplay) -> T) -> T {
        change(&mut self.talk.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn session_now(&self) -> Result<SessionAnswer, Refusal> {
        let (_, loaded) = self.loaded()?;
        let (own, writes) = self.talk(|talk| (talk.state.clone(), talk.writes));
        let recorded = || match &loaded.state {
            Some(state) => payload::to_json(&self.engine.blobs(), state),
            None => Ok(Value::Null),
        };
        let state = match own {
            Some(state) => state,
            None => recorded().map_err(|error| refusal(&error.into()))?,
        };
        let revision = loaded.revision + writes;
        Ok(SessionAnswer { session_id: loaded.session_id, revision, state })
    }

    pub(super) async fn put_session_state(
        &self,
        state: Value,
        seen: Option<u64>,
    ) -> Result<SessionAnswer, Refusal> {
        let before = self.session_now()?;
        if seen.is_some_and(|seen| seen != before.revision) {
            let message = format!("the session has revision {}", before.revision);
            return Err(Refusal::new(409, ErrorCode::SessionConflict, message));
        }
        let found = self.journaled.kept(Payload::Json(self.translate.json(state.clone())))?;
        self.compare(|record| record.session().update(&found)).await?;
        self.talk(|talk| {
            talk.state = Some(self.journaled.masked_json(state));
            talk.writes += 1;
        });
        self.session_now()
    }

    /// Returns the messages from before the beginning of the recorded run, oldest first.
    async fn history(&self) -> Result<Vec<agent_protocol::AgentSessionMessage>, Refusal> {
        let (at, loaded) = self.loaded()?;
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let read = self.engine.store().session_messages(&loaded.session_id, before, PAGE);
            let read = read.await.map_err(|error| refusal(&error.into()))?;
            let Some(oldest) = read.first() else { break };
            before = Some(oldest.number);
            for stored in read.into_iter().rev() {
                if stored.at > at || stored.run_id == self.of {
                    continue;
                }
                let about = (stored.number, stored.run_id, stored.at);
                all.push(self.shown(about, stored.role, &stored.content)?);
            }
        }
        all.reverse();
        Ok(all)
    }

    fn shown(
        &self,
        (number, run_id, at): (u64, RunId, Timestamp),
        role: String,
        content: &Payload,
    ) -> Result<agent_protocol::AgentSessionMessage, Refusal> {
        let (content, encoding) = agent_protocol::unpack(self.journaled.fetched(content)?)
            .map_err(|error| Refusal::internal(error.to_string()))?;
        let (run_id, at_ms) = (run_id.to_string(), at.as_millis());
        Ok(agent_protocol::AgentSessionMessage { number, run_id, role, content, encoding, at_ms })
    }
}

#[async_trait]
impl SessionBackend for Replayed {
    async fn session(&self) -> Result<SessionAnswer, Refusal> {
        self.session_now()
    }

    async fn put_session(&self, state: Value, seen: Option<u64>) -> Result<SessionAnswer, Refusal> {
        self.put_session_state(state, seen).await
    }

    async fn session_messages(
        &self,
        before: Option<u64>,
        last: u32,
    ) -> Result<MessagesAnswer, Refusal> {
        let (_, loaded) = self.loaded()?;
        let mut messages = self.history().await?;
        let own = self.talk(|talk| talk.said.clone());
        let mut number = messages.last().map_or(0, |last| last.number);
        for (at, message) in own {
            number += 1;
            let about = (number, self.journaled.run_id().clone(), at);
            messages.push(self.shown(about, message.role, &message.content)?);
        }
        messages.retain(|message| before.is_none_or(|before| message.number < before));
        let last = usize::try_from(last).unwrap_or(usize::MAX);
        let messages = messages.split_off(messages.len().saturating_sub(last));
        let said = self.talk(|talk| u64::try_from(talk.said.len()).unwrap_or(u64::MAX));
        let total = loaded.messages.saturating_add(said);
        Ok(MessagesAnswer { session_id: loaded.session_id, total, messages })
    }

    async fn append_messages(&self, messages: Vec<SessionMessage>) -> Result<(), Refusal> {
        self.loaded()?;
        let mut found = Vec::with_capacity(messages.len());
        for SessionMessage { role, content } in &messages {
            let content = self.translated(content.clone()).map_err(|error| refusal(&error))?;
            found.push(SessionMessage {
                role: role.clone(),
                content: self.journaled.kept(content)?,
            });
        }
        self.compare(|record| record.session().append(&found)).await?;
        let now = self.engine.now();
        self.talk(|talk| talk.said.extend(messages.into_iter().map(|message| (now, message))));
        Ok(())
    }

    async fn session_result(
        &self,
        tool: &str,
        key: &Digest,
    ) -> Result<Option<KeptResult>, Refusal> {
        let (at, loaded) = self.loaded()?;
        let own = self.talk(|talk| {
            let is_it =
                |kept: &&(String, Digest, Payload, Timestamp)| kept.0 == tool && kept.1 == *key;
            talk.kept.iter().rev().find(is_it).cloned()
        });
        if let Some((_, _, result, expires_at)) = own {
            let run_id = self.journaled.run_id().clone();
            return Ok(Some(KeptResult { result, run_id, expires_at: Some(expires_at) }));
        }
        let tool = self.journaled.masked_text(tool);
        let session_id = loaded.session_id;
        let lookup = ResultLookup { session_id, tool, input_digest: key.clone() };
        let found = self.engine.store().session_result(&lookup, at).await;
        let found = found.map_err(|error| refusal(&error.into()))?;
        // A result that the recorded run kept itself did not exist at its beginning.
        let Some(found) = found.filter(|found| found.run_id != self.of) else { return Ok(None) };
        let (result, run_id) = (self.journaled.fetched(&found.result)?, found.run_id);
        Ok(Some(KeptResult { result, run_id, expires_at: found.expires_at }))
    }

    async fn keep_session_result(
        &self,
        tool: &str,
        key: Digest,
        result: Payload,
        ttl: Duration,
    ) -> Result<Timestamp, Refusal> {
        self.loaded()?;
        let found = self.translated(result.clone()).map_err(|error| refusal(&error))?;
        let found = self.journaled.kept(found)?;
        let name = self.journaled.masked_text(tool);
        self.compare(|record| record.session().keep(&name, &key, &found)).await?;
        let expires_at = self.engine.now().plus(ttl);
        self.talk(|talk| talk.kept.push((tool.to_owned(), key, result, expires_at)));
        Ok(expires_at)
    }
}
