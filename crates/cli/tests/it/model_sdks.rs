//! Unmodified SDKs of model providers, against a scripted provider behind the real wire.

use std::path::Path;
use std::time::Duration;

use errand_testkit::{Reaction, Receiver};
use serde_json::{Value, json};

use crate::support;

/// Time limit of the SDKs, whose start alone takes seconds on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

fn document(body: &Value) -> Reaction {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Reaction::Answer(200, headers, body.to_string())
}

fn events(events: &[(&str, Value)]) -> Reaction {
    let text = |(name, data): &(&str, Value)| match *name {
        "" => format!("data: {data}\n\n"),
        name => format!("event: {name}\ndata: {data}\n\n"),
    };
    let mut body: String = events.iter().map(text).collect();
    if events.iter().all(|(name, data)| name.is_empty() && data["choices"].is_array()) {
        body.push_str("data: [DONE]\n\n");
    }
    let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
    Reaction::Answer(200, headers, body)
}

fn completion(message: &Value, reason: &str) -> Reaction {
    document(&json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }))
}

fn of_openai() -> Vec<Reaction> {
    let said = json!({"role": "assistant", "content": "Hello"});
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
            "choices": choices, "usage": usage,
        });
        ("", chunk)
    };
    let delta = |text: &str| json!([{"index": 0, "delta": {"content": text}}]);
    let end = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
    let streamed = [
        chunk(delta("Hel"), Value::Null),
        chunk(delta("lo"), Value::Null),
        chunk(end, Value::Null),
        chunk(json!([]), usage),
    ];
    let function = json!({"name": "look_up", "arguments": "{\"q\":1}"});
    let tools = json!({
        "role": "assistant", "content": null,
        "tool_calls": [{"id": "t", "type": "function", "function": function}],
    });
    let text = json!({"type": "output_text", "text": "Hello", "annotations": []});
    let response = json!({
        "id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4o",
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
        "output": [{
            "id": "m", "type": "message", "status": "completed", "role": "assistant",
            "content": [text],
        }],
        "usage": {
            "input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    });
    vec![
        completion(&said, "stop"),
        events(&streamed),
        completion(&tools, "tool_calls"),
        document(&response),
        completion(&said, "stop"),
    ]
}

fn of_anthropic() -> Vec<Reaction> {
    let message = |content: Value, reason: Value| {
        json!({
            "id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": content, "stop_reason": reason, "stop_sequence": null,
            "usage": {"input_tokens": 10, "output_tokens": 5},
        })
    };
    let whole = message(json!([{"type": "text", "text": "Hello"}]), "end_turn".into());
    let start = json!({"type": "message_start", "message": message(json!([]), Value::Null)});
    let block = json!({"type": "text", "text": ""});
    let delta = json!({"type": "text_delta", "text": "Hello"});
    let end = json!({"stop_reason": "end_turn", "stop_sequence": null});
    let streamed = [
        ("message_start", start),
        (
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
        ),
        ("content_block_delta", json!({"type": "content_block_delta", "index": 0, "delta": delta})),
        ("content_block_stop", json!({"type": "content_block_stop", "index": 0})),
        (
            "message_delta",
            json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": 5}}),
        ),
        ("message_stop", json!({"type": "message_stop"})),
    ];
    vec![document(&whole), events(&streamed), document(&whole)]
}

fn of_google() -> Vec<Reaction> {
    let answer = json!({
        "candidates": [{
            "content": {"role": "model", "parts": [{"text": "Hello"}]},
            "finishReason": "STOP",
        }],
        "usageMetadata": {
            "promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15,
        },
        "modelVersion": "gemini-3.8-flash",
    });
    vec![document(&answer), events(&[("", answer)])]
}

#[test]
fn the_sdks_of_three_providers_work_unmodified_and_each_call_is_counted() {
    let Some(python) = support::python_of("model-sdks") else { return };
    let (sandbox, provider) = (support::sandbox(), Receiver::start());
    provider.react(of_openai().into_iter().chain(of_anthropic()).chain(of_google()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/models.py");
    let option =
        |name: &str, path: &str| format!("{name}=PROVIDER_KEY,base_url={}", provider.url(path));
    let mut words =
        vec!["run".to_owned(), "--budget".to_owned(), "tokens_per_run=50000".to_owned()];
    for (name, path) in [("openai", "/v1"), ("anthropic", ""), ("google", "")] {
        words.extend(["--provider".to_owned(), option(name, path)]);
    }
    words.extend(["--".to_owned(), python.display().to_string(), script.display().to_string()]);
    let key = "sk-the-real-key-of-the-provider";
    let ran = sandbox.errand(words).env("PROVIDER_KEY", key).limit(LIMIT).run().ok();
    let expected = "chat Hello 10\nchat stream Hello False\nchat tool look_up {\"q\":1}\n\
                    responses Hello\nchat async Hello\nmessages Hello 10\nmessages stream Hello\n\
                    messages async Hello\ngemini Hello\ngemini stream Hello\n\
                    refused insufficient_quota\n";
    assert_eq!(ran.stdout(), expected, "{}", ran.stderr());
    for request in provider.received() {
        let sent =
            ["authorization", "x-api-key", "x-goog-api-key"].map(|name| request.header(name));
        assert!(sent.iter().any(|value| value.ends_with(key)), "{:?}", request.headers);
    }
    let id = sandbox.errand(["ps", "-aq"]).run().ok().stdout().trim().to_owned();
    let record = support::record(&sandbox, &id);
    assert_eq!(record["counters"]["model_calls"], 10);
    assert_eq!(
        (&record["usage"]["input_tokens"], &record["usage"]["output_tokens"]),
        (&json!(100), &json!(50))
    );
}
