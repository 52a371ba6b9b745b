//! Usage of chat streams that the client did not ask for.

use errand_wire::{UsageChunkFilter, UsageRequest, WireFormat};
use serde_json::Value;

use crate::golden::answers;

fn edited(body: &str) -> Option<String> {
    let edit = UsageRequest::of(WireFormat::OpenaiChat, body.as_bytes())?;
    Some(String::from_utf8(edit.apply(body.as_bytes())).unwrap())
}

#[test]
fn usage_is_asked_for_and_no_other_byte_changes() {
    for (body, expected) in [
        (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        (
            "\n{ \"a\": \"é\",\t\"stream\" : true }",
            "\n{\"stream_options\":{\"include_usage\":true}, \"a\": \"é\",\t\"stream\" : true }",
        ),
        (
            r#"{"stream":true,"stream_options":null}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream_options": { },"stream":true}"#,
            r#"{"stream_options": {"include_usage":true },"stream":true}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"x":1}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"x":1}}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage": false}}"#,
            r#"{"stream":true,"stream_options":{"include_usage": true}}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":null,"x":1}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"x":1}}"#,
        ),
    ] {
        let found = edited(body);
        assert_eq!(found.as_deref(), Some(expected));
        let value: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(value["stream_options"]["include_usage"], true);
        assert_eq!(edited(expected), None, "it is asked for once");
    }
}

#[test]
fn requests_that_need_no_change_have_none() {
    for body in [
        r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"stream":false}"#,
        r#"{"model":"m"}"#,
        r#"{"stream":true,"stream_options":"yes"}"#,
        r#"{"messages":[{"stream":true}]}"#,
        "not json",
        "[]",
        "",
    ] {
        assert_eq!(edited(body), None, "{body}");
    }
    assert_eq!(UsageRequest::of(WireFormat::OpenaiResponses, br#"{"stream":true}"#), None);
}

fn filtered<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut filter = UsageChunkFilter::default();
    let mut passed = Vec::new();
    for piece in pieces {
        filter.push(piece, &mut |bytes| passed.extend_from_slice(bytes));
    }
    filter.finish(&mut |bytes| passed.extend_from_slice(bytes));
    passed
}

/// Frames of a stream that have no usage, or have choices.
fn expected(body: &str) -> String {
    let end = if body.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    body.split_inclusive(end)
        .filter(|frame| !(frame.contains("\"choices\":[]") && frame.contains("\"usage\":{")))
        .collect()
}

#[test]
fn only_the_usage_chunk_is_dropped_at_every_cut() {
    let mut dropped = 0;
    for answer in answers().into_iter().filter(|answer| answer.name.ends_with(".sse")) {
        let text = String::from_utf8(answer.body.clone()).unwrap();
        let expected = expected(&text);
        dropped += usize::from(expected.len() < text.len());
        for cut in 0..=answer.body.len() {
            let (first, second) = answer.body.split_at(cut);
            let found = filtered([first, second]);
            assert_eq!(String::from_utf8_lossy(&found), expected, "{} at {cut}", answer.name);
        }
        assert_eq!(filtered(answer.body.chunks(1)), expected.as_bytes(), "{}", answer.name);
    }
    assert!(dropped >= 3, "{dropped} streams have such a chunk");
}

#[test]
fn a_last_chunk_without_an_empty_line_is_dropped() {
    let stream = "data: {\"choices\":[{}]}\n\ndata: {\"choices\": [ ],\"usage\":{}}";
    let expected = b"data: {\"choices\":[{}]}\n\n";
    assert_eq!(filtered([stream.as_bytes()]), expected);
    assert_eq!(filtered(stream.as_bytes().chunks(1)), expected);
}

#[test]
fn complete_frames_and_long_ones_are_not_held_back() {
    let mut filter = UsageChunkFilter::default();
    let mut passed = Vec::new();
    let mut push = |bytes: &[u8]| {
        filter.push(bytes, &mut |bytes| passed.extend_from_slice(bytes));
        passed.len()
    };
    assert_eq!(push(b"data: 1\n\n: ping\n\nda"), 17);
    assert_eq!(push(b"ta: 2\n\n"), 26);
    let long = format!("data: {{\"usage\":{{\"x\":\"{}", "y".repeat(100_000));
    assert_eq!(push(long.as_bytes()), 26 + long.len());
    let end = b"\"},\"choices\":[]}\n\n";
    assert_eq!(push(end), 26 + long.len() + end.len());
}
