//! Decoding of the frames of one format.

use std::fmt;

use crate::event::Events;

/// Decoder of the frames of one format.
pub(crate) trait FrameDecoder: fmt::Debug + Send {
    /// Decodes one frame of a stream.
    fn frame(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error>;

    /// Decodes a body that is one document.
    fn whole(&mut self, json: &[u8], events: &mut Events<'_>) -> Result<(), serde_json::Error>;

    /// Ends the stream at `[DONE]`.
    fn done(&mut self, events: &mut Events<'_>) {
        self.finish(events);
    }

    /// Reports what is known once no frame follows.
    fn finish(&mut self, events: &mut Events<'_>);
}
