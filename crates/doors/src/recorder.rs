//! Recorder of requests: what the journal keeps of each, masked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use errand_agent::redact::Redactor;
use errand_model::Digest;
use errand_model::request_record::{self, EarlierBody};
use serde_json::{Map, Value};

/// Earlier requests that a request is compared with: agents hold several conversations at once.
const EARLIER: usize = 8;
/// Bytes of earlier requests that are kept for that.
const EARLIER_BYTES: usize = 8 * 1024 * 1024;

/// Recorder of the requests of an attempt.
#[derive(Debug)]
pub(crate) struct RequestRecorder {
    redactor: Redactor,
    earlier: Mutex<VecDeque<MaskedBody>>,
}

impl RequestRecorder {
    pub(crate) fn new(redactor: Redactor) -> Self {
        Self { redactor, earlier: Mutex::default() }
    }

    /// Writes the body of a request into the data of an event. Returns what is kept of it once the
    /// event is recorded.
    pub(crate) fn put(&self, data: &mut Map<String, Value>, body: &[u8]) -> Option<MaskedBody> {
        if body.is_empty() {
            return None;
        }
        let masked = self.redactor.redact_bytes(body);
        let Ok(text) = std::str::from_utf8(&masked) else {
            data.insert("body_base64".to_owned(), BASE64_STANDARD.encode(&masked).into());
            return None;
        };
        let digest = Digest::of(text.as_bytes());
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            earlier.iter().map(|MaskedBody { digest, text }| EarlierBody { digest, body: text });
        request_record::put(data, (&digest, text), known);
        Some(MaskedBody { digest, text: text.into() })
    }

    /// Writes the digest and the size of a body that is not kept into the data of an event.
    pub(crate) fn put_digest(&self, data: &mut Map<String, Value>, body: &[u8]) {
        let masked = self.redactor.redact_bytes(body);
        request_record::put_digest(data, &Digest::of(&masked), masked.len());
    }

    /// Notes a body that was recorded: later ones may refer to it.
    pub(crate) fn keep(&self, body: MaskedBody) {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.push_back(body);
        let mut bytes: usize = earlier.iter().map(|body| body.text.len()).sum();
        while earlier.len() > EARLIER || bytes > EARLIER_BYTES {
            let Some(gone) = earlier.pop_front() else { break };
            bytes -= gone.text.len();
        }
    }
}

/// Body of a request, masked.
#[derive(Clone, Debug)]
pub(crate) struct MaskedBody {
    digest: Digest,
    text: Arc<str>,
}
