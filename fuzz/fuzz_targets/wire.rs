//! Fuzz target of the wire formats: `cargo xtask fuzz`.
//!
//! The last bytes choose format, shape and size of the pieces; the rest is a body. It is decoded
//! as a whole and in pieces, which must mean the same, and read as a request and as messages.

#![no_main]

use errand_wire::mcp::{DecodedMessage, McpDecoder, McpShape};
use errand_wire::{
    AnswerDecoder, AnswerShape, DecodedEvent, ModelAnswer, UsageChunkFilter, UsageRequest,
    WireCall, WireFormat,
};
use libfuzzer_sys::fuzz_target;

const SHAPES: [AnswerShape; 3] =
    [AnswerShape::Whole, AnswerShape::EventStream, AnswerShape::JsonArray];
const MCP_SHAPES: [McpShape; 3] = [McpShape::Whole, McpShape::EventStream, McpShape::Lines];

fuzz_target!(|input: &[u8]| {
    let [body @ .., format, shape, size] = input else { return };
    let format = WireFormat::ALL[usize::from(*format) % WireFormat::ALL.len()];
    let which = usize::from(*shape) % SHAPES.len();
    let size = usize::from(*size).max(1);

    let whole = answer(format, SHAPES[which], body, body.len().max(1));
    assert_eq!(answer(format, SHAPES[which], body, size), whole);
    assert_eq!(AnswerDecoder::decode(format, SHAPES[which], body), whole);
    let mut folded = ModelAnswer::default();
    whole.iter().for_each(|decoded| folded.apply(&decoded.event));
    let _state = folded.usage_state();

    let messages = |size| messages(MCP_SHAPES[which], body, size);
    assert_eq!(messages(size), messages(body.len().max(1)));

    assert_eq!(filtered(body, size), filtered(body, body.len().max(1)));
    if let Ok(call) = WireCall::of(format, "/v1/x", body, &[])
        && format == WireFormat::OpenaiChat
        && let Some(edit) = UsageRequest::of(format, body)
    {
        let edited = edit.apply(body);
        assert_eq!(UsageRequest::of(format, &edited), None);
        let again = WireCall::of(format, "/v1/x", &edited, &[]).expect("an edited body is JSON");
        assert_eq!(again.digest, call.digest);
    }
});

fn answer(format: WireFormat, shape: AnswerShape, body: &[u8], size: usize) -> Vec<DecodedEvent> {
    let mut decoder = AnswerDecoder::new(format, shape);
    let mut events = Vec::new();
    body.chunks(size).for_each(|piece| decoder.push(piece, &mut events));
    decoder.finish(&mut events);
    events
}

fn messages(shape: McpShape, body: &[u8], size: usize) -> Vec<DecodedMessage> {
    let mut decoder = McpDecoder::new(shape);
    let mut messages = Vec::new();
    body.chunks(size).for_each(|piece| decoder.push(piece, &mut messages));
    decoder.finish(&mut messages);
    messages
}

fn filtered(body: &[u8], size: usize) -> Vec<u8> {
    let mut filter = UsageChunkFilter::default();
    let mut passed = Vec::new();
    for piece in body.chunks(size) {
        filter.push(piece, &mut |bytes| passed.extend_from_slice(bytes));
    }
    filter.finish(&mut |bytes| passed.extend_from_slice(bytes));
    passed
}
