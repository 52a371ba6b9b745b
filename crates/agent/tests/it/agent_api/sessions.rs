//! The history of a session and its results of tools, over the wire.

use std::time::Duration;

use errand_agent::agent_api::ClientError;
use errand_api::agent_protocol::{
    AppendMessages, KeepResult, NewMessage, ResultAnswer, ValueEncoding, limit,
};
use errand_api::error_code::ErrorCode;
use serde_json::{Value, json};

use super::memory::World;

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    let error = result.unwrap_err();
    let ClientError::Refused(problem) = &error else { panic!("{error:?}") };
    assert_eq!(problem.code, ErrorCode::RequestInvalid.as_str());
    problem.detail.clone()
}

fn said(role: &str, content: Value) -> AppendMessages {
    let message = NewMessage { role: role.to_owned(), content, encoding: ValueEncoding::Json };
    AppendMessages { messages: vec![message] }
}

fn kept(input: Value, result: Value) -> KeepResult {
    KeepResult { input, key: None, result, encoding: ValueEncoding::Json, ttl: None }
}

#[tokio::test]
async fn session_messages_are_read_back_in_order_and_in_pages() {
    let world = World::new();
    let mut client = world.client();
    for number in 1..=5 {
        let appended = client.append_messages(&said("user", json!({ "n": number }))).await;
        assert_eq!(appended.unwrap().appended, 1);
    }
    let text = NewMessage {
        role: "assistant".to_owned(),
        content: "not \"JSON\"".into(),
        encoding: ValueEncoding::Text,
    };
    client.append_messages(&AppendMessages { messages: vec![text] }).await.unwrap();
    let all = client.messages(100, None).await.unwrap();
    assert_eq!((all.total, all.messages.len()), (6, 6));
    assert_eq!(all.messages[0].content, json!({ "n": 1 }));
    assert_eq!(all.messages[5].encoding, ValueEncoding::Text);
    let some = client.messages(2, Some(5)).await.unwrap();
    let numbers: Vec<u64> = some.messages.iter().map(|message| message.number).collect();
    assert_eq!(numbers, [3, 4]);
}

#[tokio::test]
async fn malformed_session_messages_are_refused() {
    let world = World::new();
    let mut client = world.client();
    for role in ["", "User", "a role", "9", "ä", &"a".repeat(limit::MESSAGE_ROLE_BYTES + 1)] {
        let refused = refused(client.append_messages(&said(role, json!(1))).await);
        assert!(refused.contains("role"), "{role:?}: {refused}");
    }
    let long = Value::String("x".repeat(limit::MESSAGE_BYTES));
    assert!(refused(client.append_messages(&said("user", long)).await).contains("bytes"));
    let none = AppendMessages { messages: Vec::new() };
    assert!(refused(client.append_messages(&none).await).contains("1 to 100"));
    assert!(world.memory.kept.lock().unwrap().messages.is_empty());
    let answer = world.request("GET", "/agent/v1/session/messages?last=x", "").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("no number"), "{answer}");
    let answer = world.request("GET", "/agent/v1/session/messages?first=1", "").await;
    assert!(answer.contains("there is no parameter"), "{answer}");
}

#[tokio::test]
async fn a_kept_result_is_found_by_tool_and_canonical_input() {
    let world = World::new();
    let mut client = world.client();
    let input = json!({ "city": "Köln", "days": 3 });
    let miss = client.session_result("weather", &input).await.unwrap();
    assert!(matches!(miss, ResultAnswer::Miss { .. }));
    let put = client.keep_session_result("weather", &kept(input.clone(), json!("rain"))).await;
    let put = put.unwrap();
    assert_eq!(put.expires_at_ms, 86_400_000);
    let ResultAnswer::Hit { key, result, .. } =
        client.session_result("weather", &input).await.unwrap()
    else {
        panic!("it was kept");
    };
    assert_eq!((key, result), (put.key, json!("rain")));
    let url = "/agent/v1/session/results/weather?input=%7B%22days%22%3A3.0%2C%22city%22%3A%22K%C3%B6ln%22%7D";
    let answer = world.request("GET", url, "").await;
    assert!(answer.contains("\"status\":\"hit\""), "{answer}");
    for (tool, input) in [("news", input), ("weather", json!({ "city": "Köln" }))] {
        let other = client.session_result(tool, &input).await.unwrap();
        assert!(matches!(other, ResultAnswer::Miss { .. }), "{tool} {other:?}");
    }
}

#[tokio::test]
async fn malformed_session_results_are_refused() {
    let world = World::new();
    let mut client = world.client();
    for ttl in [Duration::ZERO, limit::RESULT_TTL_MOST + Duration::from_millis(1)] {
        let result = KeepResult { ttl: Some(ttl), ..kept(json!(1), json!(2)) };
        let refused = refused(client.keep_session_result("tool", &result).await);
        assert!(refused.contains("ttl_ms"), "{refused}");
    }
    let both = KeepResult { key: Some("sha256:0".to_owned()), ..kept(json!(1), json!(2)) };
    assert!(refused(client.keep_session_result("tool", &both).await).contains("exclude"));
    let wrong = KeepResult { key: Some("sha256:0".to_owned()), ..kept(json!(null), json!(2)) };
    assert!(refused(client.keep_session_result("tool", &wrong).await).contains("digest"));
    let long = kept(json!(1), Value::String("x".repeat(limit::RESULT_BYTES)));
    assert!(refused(client.keep_session_result("tool", &long).await).contains("bytes"));
    let name = "x".repeat(limit::TOOL_NAME_BYTES + 1);
    let named = client.keep_session_result(&name, &kept(json!(1), json!(2))).await;
    assert!(refused(named).contains("name of a tool"));
    assert!(world.memory.kept.lock().unwrap().results.is_empty());
}
