//! Trace context (W3C) of runs: the trace that a run belongs to, and the ids of its spans.
//!
//! Ids are derived from the run: a span that is sent twice is one span, the trace of a run can be
//! computed, and an agent can be given the parent of its spans before any span is sent.

use errand_model::run::Run;
use errand_model::{Digest, RunId};

/// Id of a trace.
pub type TraceId = [u8; 16];
/// Id of a span.
pub type SpanId = [u8; 8];

/// Trace and span of the caller that started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Id of the trace.
    pub trace: TraceId,
    /// Id of the span in it.
    pub span: SpanId,
}

/// Returns the trace of a run that was started without a trace.
pub fn trace_of(run_id: &RunId) -> TraceId {
    first(&format!("errand/trace/{run_id}"))
}

/// Returns the span of a run, or of a part of it.
pub fn span_of(run_id: &RunId, part: &str) -> SpanId {
    first(&format!("errand/span/{run_id}/{part}"))
}

/// Returns the trace that a run's spans are part of.
pub fn trace(run: &Run) -> TraceId {
    let parent = run.spec.traceparent.as_deref().and_then(Parent::read);
    parent.map_or_else(|| trace_of(&run.id), |parent| parent.trace)
}

/// Returns the span of an attempt of a run.
pub fn attempt_span(run_id: &RunId, attempt: u32) -> SpanId {
    span_of(run_id, &format!("attempt/{attempt}"))
}

/// Returns the span of an event of a run's journal.
pub fn event_span(run_id: &RunId, seq: u64) -> SpanId {
    span_of(run_id, &seq.to_string())
}

/// Returns the value of `TRACEPARENT` or of a `traceparent` header for a span of a run.
pub fn traceparent(run: &Run, span: SpanId) -> String {
    format!("00-{}-{}-01", hex(&trace(run)), hex(&span))
}

/// Returns true if a text can be the value of a `tracestate` header: bounded, in ASCII without
/// controls.
pub fn is_tracestate(text: &str) -> bool {
    const LIMIT_BYTES: usize = 512;

    !text.is_empty()
        && text.len() <= LIMIT_BYTES
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the first bytes of a text's digest.
fn first<const N: usize>(text: &str) -> [u8; N] {
    let digest = Digest::of(text.as_bytes());
    unhex(digest.hex().get(..2 * N).unwrap_or_default()).unwrap_or([0; N])
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

impl Parent {
    /// Parses a `traceparent` header (W3C Trace Context); `None` if it is malformed.
    pub fn read(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_sound = version != "ff"
            && unhex::<1>(version).is_some()
            && unhex::<1>(flags).is_some()
            && (version != "00" || parts.next().is_none());
        let parent = Self { trace: unhex(trace)?, span: unhex(span)? };
        (is_sound && parent.trace != [0; 16] && parent.span != [0; 8]).then_some(parent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_parsed_by_the_w3c_rules() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let read = |text: &str| Parent::read(text).is_some();
        assert!(read(&format!("00-{trace}-00f067aa0ba902b7-01")));
        assert!(read(&format!("01-{trace}-00f067aa0ba902b7-01-more")));
        for text in [
            "",
            "00",
            &format!("ff-{trace}-00f067aa0ba902b7-01"),
            &format!("00-{trace}-0000000000000000-01"),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            &format!("00-{trace}-00f067aa0ba902b7-01-more"),
        ] {
            assert!(!read(text), "{text}");
        }
    }

    #[test]
    fn a_tracestate_is_short_and_printable() {
        assert!(is_tracestate("vendor=1,other=2"));
        let long = "a".repeat(513);
        for text in ["", "a\nb", "ü", long.as_str()] {
            assert!(!is_tracestate(text), "{text}");
        }
    }

    #[test]
    fn span_ids_are_stable_and_distinct() {
        let run: RunId = "01234567890123456789".parse().unwrap_or_else(|_| unreachable!());
        assert_eq!(trace_of(&run), trace_of(&run));
        assert_ne!(span_of(&run, "run"), attempt_span(&run, 1));
        assert_ne!(event_span(&run, 1), attempt_span(&run, 1));
        assert!(
            Parent::read(&format!("00-{}-{}-01", hex(&trace_of(&run)), hex(&[7; 8]))).is_some()
        );
    }
}
