//! The one reader of a watched run.

use std::sync::Arc;
use std::time::Duration;

use errand_engine::LivePart;
use errand_model::RunId;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};

use super::frame::{End, Frame, LiveLog, LiveOutput, Told};
use crate::Gateway;
use crate::record::record;

/// Events that are read at once.
const PAGE: u32 = 128;
/// How soon the journal is looked at again without a hint: at first, and at most. It doubles while
/// nothing comes.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// The one reader of a watched run.
pub(super) struct Reader {
    gateway: Gateway,
    run_id: RunId,
    /// The number of the last event that was told.
    after: u64,
    frames: broadcast::Sender<Arc<Frame>>,
    /// The beginnings of characters, of stdout and stderr.
    cut: [Vec<u8>; 2],
}

/// What a look at the journal found.
enum Found {
    Nothing,
    Events,
    /// The last event that a journal can have.
    Last,
}

impl Reader {
    pub(super) fn new(
        gateway: Gateway,
        run_id: RunId,
        after: u64,
        frames: broadcast::Sender<Arc<Frame>>,
    ) -> Self {
        Self { gateway, run_id, after, frames, cut: Default::default() }
    }

    /// Tells what comes until the run is over, or nobody watches.
    pub(super) async fn run(mut self) {
        let mut live = self.gateway.engine().live().watch(&self.run_id);
        let mut hints = self.gateway.hub().follow(&self.run_id);
        let mut pause = LOOK_AGAIN.0;
        loop {
            match self.look().await {
                Ok(Found::Last) => return self.end().await,
                Ok(Found::Events) => pause = LOOK_AGAIN.0,
                // A registry that cannot be read is looked at again, as one where nothing happened.
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
                            return self.gateway.feeds().forget(&self.run_id);
                        }
                        break;
                    }
                    () = self.gateway.closing() => return,
                }
            }
        }
    }

    async fn look(&mut self) -> Result<Found, errand_store::Error> {
        let mut found = Found::Nothing;
        loop {
            let store = self.gateway.engine().store();
            let events = store.events(&self.run_id, self.after, PAGE).await?;
            let is_all = events.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            for event in events {
                self.after = event.seq;
                found = if is_last(&event.kind) { Found::Last } else { Found::Events };
                self.tell(Told::Event(event));
            }
            if is_all || matches!(found, Found::Last) {
                return Ok(found);
            }
        }
    }

    /// Passes on what the agent says.
    fn say(&mut self, part: Result<LivePart, broadcast::error::RecvError>) {
        match part {
            Ok(LivePart::Output { attempt, offset, text }) => {
                let text = String::from(&*text);
                self.tell(Told::Output(LiveOutput { attempt, offset, text }));
            }
            Ok(LivePart::Log { attempt, stream, bytes }) => {
                let cut = &mut self.cut[usize::from(stream == "stderr")];
                let text = whole_characters(cut, &bytes);
                if !text.is_empty() {
                    self.tell(Told::Log(LiveLog { attempt, stream, text }));
                }
            }
            // The journal has the output and the log what was printed.
            Err(broadcast::error::RecvError::Lagged(_) | broadcast::error::RecvError::Closed) => {}
        }
    }

    /// The run is over: tells the last thing. Who comes later finds that by itself.
    async fn end(&self) {
        self.gateway.feeds().forget(&self.run_id);
        // Without it, each client loads the record by itself.
        if let Ok(Some(stored)) = self.gateway.engine().store().load(&self.run_id).await {
            let end = End::over(self.after, record(&self.gateway, &stored));
            self.tell(Told::End(Box::new(end)));
        }
    }

    fn is_unwatched(&self) -> bool {
        self.frames.receiver_count() == 0 && self.gateway.feeds().forget_unwatched(&self.run_id)
    }

    async fn is_removed(&self) -> bool {
        let first = self.gateway.engine().store().events(&self.run_id, 0, 1).await;
        first.is_ok_and(|events| events.is_empty())
    }

    fn tell(&self, told: Told) {
        // Nobody may be left: the next look finds out.
        drop(self.frames.send(Arc::new(Frame::new(told))));
    }
}

/// Whether nothing can follow an event of that type.
pub(crate) fn is_last(kind: &str) -> bool {
    matches!(kind, "run.completed" | "run.failed" | "run.cancelled")
}

/// The text of what was printed, up to the last whole character; the rest waits for more.
fn whole_characters(cut: &mut Vec<u8>, bytes: &[u8]) -> String {
    let mut all = std::mem::take(cut);
    all.extend_from_slice(bytes);
    let end = match std::str::from_utf8(&all) {
        Ok(_) => all.len(),
        // Only the end of what came may become a character.
        Err(error) => match error.error_len() {
            None => error.valid_up_to(),
            Some(_) => all.len() - incomplete(&all),
        },
    };
    *cut = all.split_off(end);
    String::from_utf8_lossy(&all).into_owned()
}

/// How many bytes at the end are the beginning of a character.
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
    fn characters_are_told_whole() {
        let mut cut = Vec::new();
        let parts: [&[u8]; 5] = [b"a\xc3", b"\xa4\xe2\x82", b"\xac \xff b\xc3", b"\xa4", b"."];
        let told: Vec<String> = parts.iter().map(|part| whole_characters(&mut cut, part)).collect();
        assert_eq!(told, ["a", "ä", "€ \u{fffd} b", "ä", "."]);
    }
}
