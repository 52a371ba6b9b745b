//! Throughput of decoders: `cargo run --release -p errand-wire --example throughput`.
//!
//! Repeats the content of recorded streams to some megabytes, decodes them in pieces of 4 KiB, and
//! prints megabytes in a second of processor time, which other programs of the machine do not change.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "figures of megabytes, for the person at the terminal"
)]

use errand_wire::{AnswerDecoder, AnswerShape, UsageChunkFilter, WireCall, WireFormat};

const PIECE_BYTES: usize = 4096;
const EVENTS: usize = 100_000;

fn main() {
    let chat = r#"data: {"id":"chatcmpl-Bk1","object":"chat.completion.chunk","created":1794000000,"model":"gpt-6.1-sol-2026-09-02","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"a8Xk"}"#;
    let messages = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\" token\"}}";
    let responses = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":8,\"item_id\":\"msg_0123456789abcdef0123456789abcdef\",\"output_index\":1,\"content_index\":0,\"delta\":\" token\",\"logprobs\":[],\"obfuscation\":\"x8s\"}";
    let gemini = r#"data: {"candidates":[{"content":{"parts":[{"text":" token and more of them"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":120,"candidatesTokenCount":9,"totalTokenCount":129},"modelVersion":"gemini-4-pro","responseId":"r-1"}"#;
    for (name, format, event) in [
        ("chat", WireFormat::OpenaiChat, chat),
        ("messages", WireFormat::AnthropicMessages, messages),
        ("responses", WireFormat::OpenaiResponses, responses),
        ("gemini", WireFormat::GeminiGenerate, gemini),
    ] {
        let stream = format!("{event}\n\n").repeat(EVENTS).into_bytes();
        let found = measure(name, stream.len(), || {
            let mut decoder = AnswerDecoder::new(format, AnswerShape::EventStream);
            let mut events = Vec::new();
            let mut count = 0;
            for piece in stream.chunks(PIECE_BYTES) {
                decoder.push(piece, &mut events);
                count += events.len();
                events.clear();
            }
            count
        });
        assert!(found >= EVENTS, "{name}: {found} events");
        measure(&format!("{name}, filtered"), stream.len(), || {
            let mut filter = UsageChunkFilter::default();
            let mut passed = 0;
            for piece in stream.chunks(PIECE_BYTES) {
                filter.push(piece, &mut |bytes| passed += bytes.len());
            }
            passed
        });
    }
    let turn = format!(r#"{{"role":"user","content":"{}"}}"#, "some text of a turn ".repeat(100));
    let body = format!(r#"{{"model":"m","messages":[{}]}}"#, vec![turn; 100].join(","));
    measure("request of 200 KB", body.len(), || {
        let call =
            WireCall::of(WireFormat::OpenaiChat, "/v1/chat/completions", body.as_bytes(), &[]);
        call.map_or(0, |call| call.tools_offered.len())
    });
}

fn measure(name: &str, bytes: usize, mut run: impl FnMut() -> usize) -> usize {
    let rounds = 3_usize.max(50_000_000 / bytes.max(1));
    let mut found = run();
    let start = processor_seconds();
    for _ in 0..rounds {
        found = run();
    }
    let seconds = processor_seconds() - start;
    let megabytes = (bytes * rounds) as f64 / 1e6;
    println!("{name:<22} {:>8.0} MB/s", megabytes / seconds);
    found
}

/// Seconds that this thread was on a processor.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}
