//! Descriptions and digests of requests.

use errand_wire::{AnswerShape, IgnorePointer, MalformedRequest, WireCall, WireFormat};
use serde_json::{Value, json};

use crate::golden::requests;

fn call(format: WireFormat, target: &str, body: &Value) -> WireCall {
    WireCall::of(format, target, body.to_string().as_bytes(), &[]).unwrap()
}

#[test]
fn requests_are_described_as_documented() {
    for request in requests() {
        assert_eq!(WireFormat::of("POST", &request.target), request.format, "{}", request.name);
        let call = WireCall::of(request.format, &request.target, &request.body, &[]).unwrap();
        insta::assert_snapshot!(request.name.clone(), format!("{call:#?}"));
    }
}

#[test]
fn a_digest_ignores_order_spaces_and_volatile_members() {
    for (format, target, first, second) in [
        (
            WireFormat::OpenaiChat,
            "/v1/chat/completions",
            r#"{"model":"m","messages":[],"user":"a","temperature":1.0}"#,
            r#"{ "temperature": 1, "messages": [], "metadata": {"x": 1}, "model": "m" }"#,
        ),
        (
            WireFormat::OpenaiResponses,
            "/v1/responses",
            r#"{"model":"m","input":"x","prompt_cache_key":"1"}"#,
            r#"{"model":"m","input":"x","client_metadata":{"turn":2}}"#,
        ),
        (
            WireFormat::AnthropicMessages,
            "/v1/messages?beta=true",
            r#"{"system":[{"type":"text","text":"x-anthropic-billing-header: cch=1"},{"text":"a"}]}"#,
            r#"{"system":[{"text":"a"}],"metadata":{"user_id":"u"}}"#,
        ),
        (
            WireFormat::GeminiGenerate,
            "/v1beta/models/m:generateContent?key=a",
            r#"{"contents":[],"labels":{"a":"b"}}"#,
            r#"{"contents":[]}"#,
        ),
    ] {
        let digest =
            |body: &str| WireCall::of(format, target, body.as_bytes(), &[]).unwrap().digest;
        assert_eq!(digest(first), digest(second), "{target}");
        let other_path = WireCall::of(format, "/other/path", first.as_bytes(), &[]).unwrap();
        assert_ne!(digest(first), other_path.digest, "the path counts: {target}");
    }
}

#[test]
fn a_digest_tells_different_requests_apart() {
    let digest = |body: Value| call(WireFormat::AnthropicMessages, "/v1/messages", &body).digest;
    let base = json!({"model": "m", "system": [{"text": "a"}], "messages": []});
    let others = [
        json!({"model": "n", "system": [{"text": "a"}], "messages": []}),
        json!({"model": "m", "system": [{"text": "b"}], "messages": []}),
        json!({"model": "m", "system": [{"text": "a"}], "messages": [], "stream": true}),
    ];
    for other in others {
        assert_ne!(digest(base.clone()), digest(other.clone()), "{other}");
    }
}

#[test]
fn pointers_of_the_agent_extend_the_volatile_members() {
    let ignore: Vec<IgnorePointer> = vec!["/messages/*/content/id".parse().unwrap()];
    let digest = |id: &str| {
        let body = json!({"messages": [{"content": {"id": id, "text": "x"}}]}).to_string();
        WireCall::of(WireFormat::OpenaiChat, "/p", body.as_bytes(), &ignore).unwrap().digest
    };
    assert_eq!(digest("1"), digest("2"));
}

#[test]
fn a_query_with_a_key_does_not_count() {
    let body = json!({"contents": []});
    let call = |target| call(WireFormat::GeminiGenerate, target, &body);
    let first = call("/v1beta/models/m:generateContent?key=a");
    assert_eq!(first.digest, call("/v1beta/models/m:generateContent?key=b").digest);
    assert_eq!(first.model.as_deref(), Some("m"));
}

#[test]
fn a_body_that_is_no_object_is_refused_with_its_place() {
    let of = |body: &[u8]| WireCall::of(WireFormat::OpenaiChat, "/", body, &[]).unwrap_err();
    let expected = MalformedRequest { message: "expected value".to_owned(), line: 2, column: 11 };
    assert_eq!(of(b"{\"a\": 1,\n \"model\": oops}"), expected);
    assert_eq!(of(b"").message, "EOF while parsing a value");
    assert_eq!(of(b"[]").line, 1);
    assert!(of(b"{\"a\":\"\xff\"}").message.contains("unicode"));
    let deep = [b"{\"a\":".as_slice(), &b"[".repeat(100_000)].concat();
    assert_eq!(of(&deep).message, "recursion limit exceeded");
}

#[test]
fn an_opaque_body_is_compared_as_it_is() {
    let call = |body: &[u8]| WireCall::of(WireFormat::Opaque, "/v1/audio", body, &[]).unwrap();
    assert_eq!(call(b"\xff\x00").digest, call(b"\xff\x00").digest);
    assert_ne!(call(b"{}").digest, call(b"{ }").digest);
    assert_eq!(call(b"").model, None);
}

#[test]
fn members_of_other_types_are_as_if_absent() {
    let body = json!({
        "model": 7, "stream": "yes", "n": -1, "max_tokens": "many", "tools": {"name": "x"},
        "messages": [null, 1, {"role": ["tool"], "tool_call_id": "a"}],
    });
    let call = call(WireFormat::OpenaiChat, "/v1/chat/completions", &body);
    assert_eq!((call.model, call.is_stream, call.answers), (None, false, 1));
    assert_eq!((call.max_output_tokens, call.tools_offered.len()), (None, 0));
    assert_eq!(call.tool_results, []);
}

#[test]
fn the_shape_of_an_answer_follows_its_content_type() {
    let gemini = |verb: &str| {
        call(WireFormat::GeminiGenerate, &format!("/v1beta/models/m:{verb}"), &json!({}))
    };
    let shape = |verb, content_type| AnswerShape::of(&gemini(verb), Some(content_type));
    let stream = "streamGenerateContent";
    assert_eq!(shape(stream, "text/event-stream; charset=utf-8"), AnswerShape::EventStream);
    assert_eq!(shape(stream, "application/json"), AnswerShape::JsonArray);
    assert_eq!(shape("generateContent", "application/json"), AnswerShape::Whole);
    assert_eq!(AnswerShape::of(&gemini("generateContent"), None), AnswerShape::Whole);
}
