//! Stream of one run: all frames from an event on, without gap or repetition, and then the end.
//!
//! Events come from the store until the stream has caught up, then from the feed; after a gap in
//! the feed, from the store again. So a slow reader costs nothing but its own reads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use errand_model::RunId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::Gateway;
use crate::feed::{EndReason, Frame, Lagged, StreamEnd, StreamItem};
use crate::record::record;
use crate::refusal::Refusal;

/// Events that a client holds in memory while it catches up.
const PAGE: u32 = 32;
/// Pause between two reads of an unreadable registry.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Number of such reads before the client is told to reconnect: 5 seconds.
const TRIES: u32 = 25;

/// Part of a run that a client wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunSelection {
    /// Number of the event after which the stream starts; 0: before the first.
    pub(crate) after: u64,
    /// Types of events (`step.failed`) or nouns (`step`); empty: all.
    pub(crate) types: Vec<String>,
    /// True if live output is wanted too.
    pub(crate) output: bool,
    /// True if live log lines are wanted too.
    pub(crate) log: bool,
}

impl RunSelection {
    /// Returns true if events of that type are wanted.
    pub(crate) fn has(&self, kind: &str) -> bool {
        has(&self.types, kind)
    }
}

/// Parses a filter of event types: `step.*` is the noun `step`, and commas separate several.
///
/// # Errors
///
/// If one of them is no valid type.
pub(crate) fn types(given: &[String]) -> Result<Vec<String>, Refusal> {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let read = |text: &str| {
        let one = text.trim().trim_end_matches(".*");
        if one.split('.').count() <= 2 && one.split('.').all(is_word) {
            return Ok(one.to_owned());
        }
        Err(Refusal::parameter("type", format!("{text:?} is no type of events")).hint(
            "a type is written noun.verb_past, such as step.failed; step means all of a step",
        ))
    };
    given.iter().flat_map(|text| text.split(',')).map(read).collect()
}

/// Returns true if the filter has the type or its noun; an empty filter has all.
pub(crate) fn has(types: &[String], kind: &str) -> bool {
    let noun = kind.split('.').next().unwrap_or_default();
    types.is_empty() || types.iter().any(|wanted| wanted == kind || wanted == noun)
}

/// Stream of one run.
#[derive(Debug)]
pub(crate) struct Follow {
    gateway: Gateway,
    run_id: RunId,
    wanted: RunSelection,
    frames: Receiver<Arc<Frame>>,
    page: VecDeque<Arc<Frame>>,
    /// True if the store may have more events.
    behind: bool,
    tries: u32,
    is_over: bool,
}

impl Follow {
    /// Starts a stream of an existing run. `head` is the last event that the caller knows.
    pub(crate) fn new(gateway: &Gateway, run_id: RunId, head: u64, wanted: RunSelection) -> Self {
        let frames = gateway.feeds().subscribe(&run_id, head);
        Self {
            gateway: gateway.clone(),
            run_id,
            wanted,
            frames,
            page: VecDeque::new(),
            behind: true,
            tries: 0,
            is_over: false,
        }
    }

    /// Returns true if the end was sent.
    pub(crate) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns the next frame; `None` after the end. Cancel safe: no frame is lost.
    pub(crate) async fn next(&mut self) -> Option<Arc<Frame>> {
        if self.is_over {
            return None;
        }
        loop {
            if let Some(frame) = self.page.pop_front() {
                if let Some(frame) = self.take(frame) {
                    return Some(frame);
                }
                continue;
            }
            let closing = self.gateway.clone();
            let step =
                async { if self.behind { self.catch_up().await } else { self.listen().await } };
            let told = tokio::select! {
                told = step => told,
                () = closing.closing() => {
                    let last = Some(self.wanted.after.to_string());
                    Some(StreamItem::End(Box::new(StreamEnd::for_now(EndReason::ShuttingDown, last))))
                }
            };
            if let Some(told) = told {
                self.is_over = matches!(told, StreamItem::End(_));
                return Some(Arc::new(Frame::new(told)));
            }
        }
    }

    /// Returns the frame if it is to be sent now.
    fn take(&mut self, frame: Arc<Frame>) -> Option<Arc<Frame>> {
        let is_wanted = match &frame.told {
            StreamItem::Event(event) if event.seq <= self.wanted.after => false,
            StreamItem::Event(event) if event.seq == self.wanted.after + 1 => {
                self.wanted.after = event.seq;
                self.wanted.has(&event.kind)
            }
            StreamItem::Event(_) => {
                // Events in between are missing, and the store has them.
                self.behind = true;
                false
            }
            StreamItem::Output(_) => self.wanted.output,
            StreamItem::Log(_) => self.wanted.log,
            StreamItem::Lagged(_) => true,
            StreamItem::End(end) => {
                let is_all = end.last_event_id.as_ref() == Some(&self.wanted.after.to_string());
                self.behind |= !is_all;
                self.is_over = is_all;
                is_all
            }
        };
        is_wanted.then_some(frame)
    }

    /// Receives from the feed.
    async fn listen(&mut self) -> Option<StreamItem> {
        match self.frames.recv().await {
            Ok(frame) => {
                self.page.push_back(frame);
                None
            }
            Err(RecvError::Lagged(missed)) => {
                self.behind = true;
                // The events are not lost: the store has them.
                let last_event_id = self.wanted.after.to_string();
                let is_told = self.wanted.output || self.wanted.log;
                is_told.then_some(StreamItem::Lagged(Lagged { missed, last_event_id }))
            }
            Err(RecvError::Closed) => {
                // The run is over or removed, or its feed ended without listeners.
                self.behind = true;
                self.frames = self.gateway.feeds().subscribe(&self.run_id, self.wanted.after);
                None
            }
        }
    }

    /// Reads the store.
    async fn catch_up(&mut self) -> Option<StreamItem> {
        let store = self.gateway.engine().store();
        match store.events(&self.run_id, self.wanted.after, PAGE).await {
            Ok(events) if events.is_empty() => {
                self.tries = 0;
                self.caught_up().await
            }
            Ok(events) => {
                self.tries = 0;
                let frames = events.into_iter().map(|event| Frame::new(StreamItem::Event(event)));
                self.page = frames.map(Arc::new).collect();
                None
            }
            Err(_) => self.try_again().await,
        }
    }

    /// Handles the end of the journal: the run is over, or continues.
    async fn caught_up(&mut self) -> Option<StreamItem> {
        let stored = match self.gateway.engine().store().load(&self.run_id).await {
            Ok(Some(stored)) => stored,
            Ok(None) => {
                let (reason, retry_ms) = (EndReason::Removed, None);
                let last_event_id = Some(self.wanted.after.to_string());
                return Some(StreamItem::End(Box::new(StreamEnd {
                    reason,
                    last_event_id,
                    retry_ms,
                    run: None,
                })));
            }
            Err(_) => return self.try_again().await,
        };
        if stored.head.seq > self.wanted.after {
            return None;
        }
        self.behind = false;
        stored.run.status.is_terminal().then(|| {
            let run = record(&self.gateway, &stored);
            StreamItem::End(Box::new(StreamEnd::over(self.wanted.after, run)))
        })
    }

    async fn try_again(&mut self) -> Option<StreamItem> {
        self.tries += 1;
        if self.tries < TRIES {
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
            return None;
        }
        let last = Some(self.wanted.after.to_string());
        Some(StreamItem::End(Box::new(StreamEnd::for_now(EndReason::Unavailable, last))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noun_means_all_of_its_events() {
        let some = ["step".to_owned(), "run.failed".to_owned()];
        assert!(["step.started", "step.failed", "run.failed"].iter().all(|kind| has(&some, kind)));
        assert!(["run.completed", "steps.started"].iter().all(|kind| !has(&some, kind)));
        assert!(has(&[], "anything.at_all"));
        let given = ["step.*,run".to_owned(), "tool.called".to_owned()];
        assert_eq!(types(&given).unwrap(), ["step", "run", "tool.called"]);
        assert!(["", "Step", "a.b.c", "a.", "*"].iter().all(|it| types(&[(*it).into()]).is_err()));
    }
}
