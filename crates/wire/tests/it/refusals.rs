//! Refusals in the shape of each format.

use errand_wire::refusal::{RefusalCause, RefusalShape, WireRefusal};
use errand_wire::{AnswerDecoder, AnswerError, AnswerShape, WireEvent, WireFormat};

const REFUSAL: WireRefusal<'_> = WireRefusal {
    cause: RefusalCause::Budget,
    code: "budget_exceeded",
    message: "the run has spent \"USD 1.00\" of USD 1.00",
};

fn errors(format: WireFormat, shape: AnswerShape, body: &[u8]) -> Vec<AnswerError> {
    let mut errors = Vec::new();
    for decoded in AnswerDecoder::decode(format, shape, body) {
        if let WireEvent::Error(error) = decoded.event {
            errors.push(error);
        }
    }
    errors
}

#[test]
fn a_refusal_is_an_error_of_its_format_that_is_not_retried() {
    for format in WireFormat::ALL.into_iter().filter(|format| *format != WireFormat::Opaque) {
        for (form, shape) in [
            (RefusalShape::Document, AnswerShape::Whole),
            (RefusalShape::Array, AnswerShape::JsonArray),
        ] {
            let response = REFUSAL.response(format, form);
            assert_eq!(response.status, 403);
            assert!(response.headers.contains(&("x-should-retry", "false".to_owned())));
            let errors = errors(format, shape, &response.body);
            let [AnswerError::Provider { kind, message }] = errors.as_slice() else {
                panic!("not one error of a provider: {errors:?}");
            };
            assert_eq!(message, REFUSAL.message);
            assert!(
                ["insufficient_quota", "permission_error", "PERMISSION_DENIED"]
                    .contains(&kind.as_str()),
                "{kind}"
            );
        }
        let event = REFUSAL.stream_event(format, 7);
        assert!(event.ends_with(b"\n\n"));
        assert_eq!(errors(format, AnswerShape::EventStream, &event).len(), 1, "{format:?}");
    }
}

#[test]
fn bodies_of_refusals_are_those_of_the_providers() {
    let refusal =
        WireRefusal { cause: RefusalCause::Forbidden, code: "policy_denied", message: "no" };
    let bodies =
        [WireFormat::OpenaiChat, WireFormat::AnthropicMessages, WireFormat::GeminiGenerate].map(
            |format| {
                String::from_utf8(refusal.response(format, RefusalShape::Document).body).unwrap()
            },
        );
    insta::assert_snapshot!(bodies.join("\n"), @r#"
    {"error":{"code":"policy_denied","message":"no","param":null,"type":"permission_error"}}
    {"error":{"message":"no","type":"permission_error"},"type":"error"}
    {"error":{"code":403,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"errand","reason":"POLICY_DENIED"}],"message":"no","status":"PERMISSION_DENIED"}}
    "#);
    let event = refusal.stream_event(WireFormat::OpenaiResponses, 7);
    insta::assert_snapshot!(String::from_utf8(event).unwrap(), @r#"
    event: error
    data: {"code":"policy_denied","message":"no","param":null,"sequence_number":7,"type":"error"}
    "#);
}

#[test]
fn only_an_array_stream_of_gemini_is_refused_by_an_array() {
    let target = "/v1beta/models/m:streamGenerateContent";
    let shape =
        |target: &str, is_stream| RefusalShape::of(WireFormat::GeminiGenerate, target, is_stream);
    assert_eq!(shape(target, true), RefusalShape::Array);
    assert_eq!(shape(&format!("{target}?key=k&alt=sse"), true), RefusalShape::Document);
    assert_eq!(shape("/v1beta/models/m:generateContent", false), RefusalShape::Document);
    let chat = RefusalShape::of(WireFormat::OpenaiChat, "/v1/chat/completions", true);
    assert_eq!(chat, RefusalShape::Document);
}
