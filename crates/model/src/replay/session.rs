//! Session state that the recorded run loaded, and its changes of the session.

use super::divergence::{Divergence, shown_payload};
use super::track::ReplayTrack;
use crate::event::{SessionEvent, SessionLoaded, SessionMessage};
use crate::{Digest, Payload, Timestamp};

/// The session's part of a record. A replay writes nothing there.
#[derive(Clone, Debug, Default)]
pub struct SessionRecord {
    loaded: Option<(Timestamp, SessionLoaded)>,
    updates: ReplayTrack<Payload>,
    appended: ReplayTrack<Vec<SessionMessage>>,
    cached: ReplayTrack<Cached>,
}

/// A tool's result that was kept.
#[derive(Clone, Debug, PartialEq)]
struct Cached {
    tool: String,
    input_digest: Digest,
    result: Payload,
}

impl SessionRecord {
    pub(super) fn take_in(
        &mut self,
        at: Timestamp,
        (attempt, in_step): (u32, bool),
        event: SessionEvent<'_>,
    ) {
        match event {
            SessionEvent::Loaded(loaded) => {
                self.loaded.get_or_insert_with(|| (at, loaded.clone()));
            }
            SessionEvent::Updated(updated) => {
                self.updates.record(attempt, updated.state.clone(), in_step);
            }
            SessionEvent::Appended(appended) => {
                self.appended.record(attempt, appended.messages.clone(), in_step);
            }
            SessionEvent::Cached(cached) => {
                let (tool, input_digest) = (cached.tool.clone(), cached.input_digest.clone());
                let result = cached.result.clone();
                self.cached.record(attempt, Cached { tool, input_digest, result }, in_step);
            }
            SessionEvent::RolledBack(_) => {}
        }
    }

    pub(super) fn reach(&mut self, attempts: u32) {
        self.updates.reach(attempts);
        self.appended.reach(attempts);
        self.cached.reach(attempts);
    }

    /// Returns the state that the first attempt loaded, and the time; `None`: the run belongs to no
    /// session.
    pub const fn loaded(&self) -> Option<&(Timestamp, SessionLoaded)> {
        self.loaded.as_ref()
    }

    /// The replay writes the state.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if it is not the one that the record has in its place.
    pub fn update(&mut self, state: &Payload) -> Result<(), Divergence> {
        self.updates.follow(state).map_err(|expected| {
            let expected = expected.map(shown_payload);
            Divergence::new("session state", expected.as_deref(), Some(&shown_payload(state)))
        })
    }

    /// The replay appends messages.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if they are not those that the record has in their place.
    pub fn append(&mut self, messages: &Vec<SessionMessage>) -> Result<(), Divergence> {
        self.appended.follow(messages).map_err(|expected| {
            let expected = expected.map(|messages| said(messages));
            Divergence::new("session messages", expected.as_deref(), Some(&said(messages)))
        })
    }

    /// The replay keeps a tool's result.
    ///
    /// # Errors
    ///
    /// [`Divergence`] if it is not the one that the record has in its place.
    pub fn keep(
        &mut self,
        tool: &str,
        input_digest: &Digest,
        result: &Payload,
    ) -> Result<(), Divergence> {
        let found = Cached {
            tool: tool.to_owned(),
            input_digest: input_digest.clone(),
            result: result.clone(),
        };
        self.cached.follow(&found).map_err(|expected| {
            let expected = expected.map(kept);
            Divergence::new("session result", expected.as_deref(), Some(&kept(&found)))
        })
    }

    pub(super) fn finished(&self) -> Result<(), Divergence> {
        if let Some(expected) = self.updates.rest() {
            return Err(Divergence::new("session state", Some(&shown_payload(expected)), None));
        }
        if let Some(expected) = self.appended.rest() {
            return Err(Divergence::new("session messages", Some(&said(expected)), None));
        }
        match self.cached.rest() {
            Some(expected) => Err(Divergence::new("session result", Some(&kept(expected)), None)),
            None => Ok(()),
        }
    }
}

fn said(messages: &[SessionMessage]) -> String {
    let lines = messages
        .iter()
        .map(|message| format!("{}: {}", message.role, shown_payload(&message.content)));
    lines.collect::<Vec<_>>().join("\n")
}

fn kept(cached: &Cached) -> String {
    format!("{} {}\n{}", cached.tool, cached.input_digest, shown_payload(&cached.result))
}
