//! Reader of a watched run.

use std::sync::Arc;
use std::time::Duration;

use errand_engine::{LivePart, record_file};
use errand_model::RunId;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};

use super::Feeds;
use super::frame::{Frame, LiveLog, LiveOutput, StreamEnd, StreamItem};

/// Events that are read at once.
const PAGE: u32 = 128;
/// Interval of reads of the journal without a hint: initial and largest. It doubles while there are
/// no events.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Reader of a watched run.
pub(super) struct Reader {
    feeds: Feeds,
    run_id: RunId,
    /// Number of the last event sent.
    after: u64,
    frames: broadcast::Sender<Arc<Frame>>,
    /// Incomplete characters at the end of stdout and stderr.
    cut: [Vec<u8>; 2],
}

/// Result of a read of the journal.
enum Found {
    Nothing,
    Events,
    /// The last event that a journal can have.
    Last,
}

impl Reader {
    pub(super) fn new(
        feeds: Feeds,
        run_id: RunId,
        after: u64,
        frames: broadcast::Sender<Arc<Frame>>,
    ) -> Self {
        Self { feeds, run_id, after, frames, cut: Default::default() }
    }

    /// Sends frames until the run is over or has no listeners.
    pub(super) async fn run(mut self) {
        let mut live = self.feeds.inner.engine.live().watch(&self.run_id);
        let mut hints = self.feeds.inner.hub.follow(&self.run_id);
        let mut pause = LOOK_AGAIN.0;
        loop {
            match self.look().await {
                Ok(Found::Last) => return self.end().await,
                Ok(Found::Events) => pause = LOOK_AGAIN.0,
                // An unreadable registry is read again after a pause, as one without new events.
                Ok(Found::Nothing) | Err(_) => pause = (pause * 2).min(LOOK_AGAIN.1),
            }
            if self.is_unwatched() {
                return;
            }
            let look_at = Instant::now() + pause;
            loop {
                tokio::select! {
                    () = hints.changed() => break,
                    part = live.parts.recv() => self.say(part),
                    () = sleep_until(look_at) => {
                        if self.is_removed().await {
                            return self.feeds.forget(&self.run_id);
                        }
                        break;
                    }
                    () = self.feeds.closing() => return,
                }
            }
        }
    }

    async fn look(&mut self) -> Result<Found, errand_store::Error> {
        let mut found = Found::Nothing;
        loop {
            let store = self.feeds.inner.engine.store();
            let events = store.events(&self.run_id, self.after, PAGE).await?;
            let is_all = events.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            for event in events {
                self.after = event.seq;
                found = if is_last(&event.kind) { Found::Last } else { Found::Events };
                self.tell(StreamItem::Event(event));
            }
            if is_all || matches!(found, Found::Last) {
                return Ok(found);
            }
        }
    }

    /// Sends a live part of the agent's output or log.
    fn say(&mut self, part: Result<LivePart, broadcast::error::RecvError>) {
        match part {
            Ok(LivePart::Output { attempt, offset, text }) => {
                let text = String::from(&*text);
                self.tell(StreamItem::Output(LiveOutput { attempt, offset, text }));
            }
            Ok(LivePart::Log { attempt, stream, bytes }) => {
                let cut = &mut self.cut[usize::from(stream == "stderr")];
                let text = whole_characters(cut, &bytes);
                if !text.is_empty() {
                    self.tell(StreamItem::Log(LiveLog { attempt, stream, text }));
                }
            }
            // The journal has the output, and the log file the log.
            Err(broadcast::error::RecvError::Lagged(_) | broadcast::error::RecvError::Closed) => {}
        }
    }

    /// Sends the end of a terminal run. Later clients find the end by themselves.
    async fn end(&self) {
        self.feeds.forget(&self.run_id);
        // Without it, each client loads the record by itself.
        if let Ok(Some(stored)) = self.feeds.inner.engine.store().load(&self.run_id).await {
            let end =
                StreamEnd::over(self.after, record_file::record(&self.feeds.inner.engine, &stored));
            self.tell(StreamItem::End(Box::new(end)));
        }
    }

    fn is_unwatched(&self) -> bool {
        self.frames.receiver_count() == 0 && self.feeds.forget_unwatched(&self.run_id)
    }

    async fn is_removed(&self) -> bool {
        let first = self.feeds.inner.engine.store().events(&self.run_id, 0, 1).await;
        first.is_ok_and(|events| events.is_empty())
    }

    fn tell(&self, told: StreamItem) {
        // There may be no listener left, which the next read notices.
        drop(self.frames.send(Arc::new(Frame::new(told))));
    }
}

/// Returns true for an event that ends a journal.
pub(crate) fn is_last(kind: &str) -> bool {
    matches!(kind, "run.completed" | "run.failed" | "run.cancelled")
}

/// Returns the printed text up to the last complete character; the rest waits for more.
fn whole_characters(cut: &mut Vec<u8>, bytes: &[u8]) -> String {
    let mut all = std::mem::take(cut);
    all.extend_from_slice(bytes);
    let end = match std::str::from_utf8(&all) {
        Ok(_) => all.len(),
        // Only the end of the bytes may be an incomplete character.
        Err(error) => match error.error_len() {
            None => error.valid_up_to(),
            Some(_) => all.len() - incomplete(&all),
        },
    };
    *cut = all.split_off(end);
    String::from_utf8_lossy(&all).into_owned()
}

/// Counts the bytes at the end that begin an incomplete character.
fn incomplete(bytes: &[u8]) -> usize {
    let longest = bytes.len().min(3);
    let is_cut = |length: &usize| {
        let tail = &bytes[bytes.len() - length..];
        std::str::from_utf8(tail)
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=longest).find(is_cut).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_sent_whole() {
        let mut cut = Vec::new();
        let parts: [&[u8]; 5] = [b"a\xc3", b"\xa4\xe2\x82", b"\xac \xff b\xc3", b"\xa4", b"."];
        let told: Vec<String> = parts.iter().map(|part| whole_characters(&mut cut, part)).collect();
        assert_eq!(told, ["a", "ä", "€ \u{fffd} b", "ä", "."]);
    }
}
