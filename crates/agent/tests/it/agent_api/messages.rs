//! Messages and handoffs between agents, on the wire.

use std::time::Duration;

use errand_agent::agent_api::ClientError;
use errand_api::agent_protocol::{AgentMessage, HandOver, SendMessage, limit};
use errand_model::event::MessageType;
use serde_json::{Value, json};

use super::memory::World;

fn message(kind: MessageType, payload: Value) -> SendMessage {
    SendMessage { to: "writer".to_owned(), kind, payload }
}

#[track_caller]
fn detail<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    let ClientError::Refused(problem) = result.unwrap_err() else { unreachable!("it is refused") };
    assert_eq!((problem.status, problem.code.as_str()), (400, "request_invalid"));
    problem.detail
}

#[tokio::test]
async fn a_message_is_delivered_and_the_next_one_is_null_if_none_comes() {
    let world = World::new();
    let mut client = world.client();
    let sent = message(MessageType::Validation, json!({ "approved": false }));
    let answer = client.send_message(&sent).await.unwrap();
    assert_eq!((answer.seq, answer.id.as_str()), (1, "run/1"));
    let next = client.next_message(Duration::from_secs(5)).await.unwrap();
    let expected = AgentMessage {
        id: "run/1".to_owned(),
        from: "me".to_owned(),
        to: "writer".to_owned(),
        message_type: MessageType::Validation,
        payload: json!({ "approved": false }),
    };
    assert_eq!(next, Some(expected));
    assert_eq!(client.next_message(Duration::ZERO).await.unwrap(), None);
    let raw = world.request("GET", "/agent/v1/messages/next?timeout_ms=0", "").await;
    assert!(raw.starts_with("HTTP/1.1 200 ") && raw.ends_with("null"), "{raw}");
    let raw = world.request("GET", "/agent/v1/messages/next?wait=0", "").await;
    assert!(raw.starts_with("HTTP/1.1 400 ") && raw.contains("timeout_ms"), "{raw}");
}

#[tokio::test]
async fn a_malformed_message_is_refused_before_anything_is_recorded() {
    let world = World::new();
    let mut client = world.client();
    for payload in [json!(null), json!({ "action": "stop" }), json!({ "reason": "why" })] {
        let refused = client.send_message(&message(MessageType::Control, payload)).await;
        assert!(detail(refused).contains("pause, resume or cancel"));
    }
    let odd = json!({ "action": "pause", "when": "now" });
    assert!(
        detail(client.send_message(&message(MessageType::Control, odd)).await).contains("when")
    );
    let long = json!("x".repeat(limit::MESSAGE_BYTES));
    assert!(detail(client.send_message(&message(MessageType::Task, long)).await).contains("bytes"));
    assert!(world.memory.kept.lock().unwrap().sent.is_empty());
    let pause = json!({ "action": "pause", "reason": "for a while" });
    client.send_message(&message(MessageType::Control, pause)).await.unwrap();
}

#[tokio::test]
async fn a_handoff_reaches_the_backend_only_within_its_limits() {
    let world = World::new();
    let mut client = world.client();
    let handoff = HandOver {
        to: "reviewer".to_owned(),
        summary: "all but the last chapter".to_owned(),
        input: Some(json!({ "chapter": 12 })),
        artifacts: vec!["book.md".to_owned()],
    };
    client.hand_over(&handoff).await.unwrap();
    assert_eq!(world.memory.kept.lock().unwrap().handoffs, vec![handoff.clone()]);
    let summary = "x".repeat(limit::QUESTION_BYTES + 1);
    let refused = client.hand_over(&HandOver { summary, ..handoff.clone() }).await;
    assert!(detail(refused).contains("summary"));
    let artifacts = vec!["a".to_owned(); limit::HANDOFF_ARTIFACTS + 1];
    let refused = client.hand_over(&HandOver { artifacts, ..handoff }).await;
    assert!(detail(refused).contains("artifacts"));
}
