//! Output of an agent in parts.

use errand_agent::agent_api::Refusal;
use errand_agent::redact::{self, Redactor};

use super::{AttemptBackend, refusal};
use crate::live::LivePart;

/// Masking of text that comes in parts: text that may still become a secret is held back until that
/// is decided.
#[derive(Debug)]
pub(super) struct Masking {
    stream: redact::StreamRedactor,
    /// First bytes of a character whose rest is held back.
    cut: Vec<u8>,
}

impl Masking {
    pub(super) fn new(redactor: &Redactor) -> Self {
        Self { stream: redactor.stream(), cut: Vec::new() }
    }

    /// Takes the next part. Returns the text that is clear.
    pub(super) fn take(&mut self, text: &str) -> String {
        let mut clear = std::mem::take(&mut self.cut);
        self.stream.push(text.as_bytes(), &mut clear);
        match String::from_utf8(clear) {
            Ok(text) => text,
            Err(error) => {
                let whole = error.utf8_error().valid_up_to();
                let mut clear = error.into_bytes();
                self.cut = clear.split_off(whole);
                String::from_utf8_lossy(&clear).into_owned()
            }
        }
    }

    /// Returns the text that was held back: no more comes.
    fn finish(&mut self) -> String {
        let mut clear = std::mem::take(&mut self.cut);
        self.stream.finish(&mut clear);
        String::from_utf8_lossy(&clear).into_owned()
    }
}

impl AttemptBackend {
    /// Records the text that `mask` returns as clear, and sends it to live watchers.
    pub(super) async fn pass_on(
        &self,
        mask: impl FnOnce(&mut Masking) -> String + Send,
    ) -> Result<(), Refusal> {
        // Locked until the text is recorded: parts of one text must not overtake each other.
        let mut masking = self.masking.lock().await;
        let text = mask(&mut masking);
        if text.is_empty() {
            return Ok(());
        }
        let (live, run_id, attempt) = (self.engine.live(), self.journal.run_id(), self.attempt);
        let say = |offset| {
            live.say(run_id, || LivePart::Output { attempt, offset, text: text.as_str().into() });
        };
        let taken = self.journal.record_output(attempt, &text, say).await;
        taken.map_err(|error| refusal(&error.into()))
    }

    /// Records the text that was held back: the agent has ended.
    pub(in crate::supervise) async fn finish_output(&self) {
        // A lost or closed journal accepts no text.
        drop(self.pass_on(Masking::finish).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_however_it_is_cut() {
        let secret = "s\u{e9}cret";
        let mut masking = Masking::new(&Redactor::new([("KEY", secret.as_bytes())]));
        let parts = ["a s", "\u{e9}c", "ret, s", "\u{e9}\u{e9}", " s"];
        let mut text: String = parts.iter().map(|part| masking.take(part)).collect();
        text.push_str(&masking.finish());
        assert!(!text.contains(secret), "{text}");
        assert!(text.starts_with("a ") && text.ends_with(", s\u{e9}\u{e9} s"), "{text}");
    }
}
