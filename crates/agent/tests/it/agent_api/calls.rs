//! Effects of each call of the agent API.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use errand_agent::agent_api::{ClientError, StepCallResult};
use errand_api::agent_protocol::{
    AskApproval, AskInput, BeginStep, BeginStepAnswer, Checkback, CheckbackStatus, CompleteStep,
    ControlEvent, FailStep, InputStatus, OutputPart, PutSession, ReportEvents, ReportedEvent,
    SaveCheckpoint, SetOutput, StepError, ValueEncoding,
};
use errand_api::error_code::ErrorCode;
use errand_model::event::DeadlineDefault;
use errand_model::{Digest, Payload};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::memory::{TOKEN, World};

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> (u16, ErrorCode) {
    let error = result.unwrap_err();
    let ClientError::Refused(problem) = &error else { panic!("{error:?}") };
    (problem.status, problem.code.parse().unwrap())
}

#[tokio::test]
async fn a_step_is_run_once_and_replayed_afterwards() {
    let world = World::new();
    let mut client = world.client();
    let begin = BeginStep { timeout: Some(Duration::from_millis(1500)), ..BeginStep::default() };
    let run = BeginStepAnswer::Run { timeout: begin.timeout, traceparent: None };
    for _ in 0..2 {
        assert_eq!(client.begin_step("a b/ü", &begin).await.unwrap(), run);
    }
    let done = CompleteStep { output: Some(json!({"n": 1})), ..CompleteStep::default() };
    for _ in 0..2 {
        client.complete_step("a b/ü", &done).await.unwrap();
    }
    let replay = client.begin_step("a b/ü", &begin).await.unwrap();
    let output = Some(json!({"n": 1}));
    let expected = BeginStepAnswer::Done {
        output,
        encoding: ValueEncoding::Json,
        stderr: None,
        stderr_base64: None,
    };
    assert_eq!(replay, expected);
    let other = CompleteStep { output: Some(json!(2)), ..CompleteStep::default() };
    let conflict = client.complete_step("a b/ü", &other).await;
    assert_eq!(refused(conflict), (409, ErrorCode::StepConflict));
    let unknown = client.complete_step("never begun", &other).await;
    assert_eq!(refused(unknown), (409, ErrorCode::StepNotBegun));
    assert_eq!(client.checkin().await.unwrap().completed_steps, ["a b/ü"]);
}

#[tokio::test]
async fn the_output_of_a_command_is_replayed_byte_for_byte() {
    let world = World::new();
    let mut client = world.client();
    let begin = BeginStep::default();
    client.begin_step("cmd", &begin).await.unwrap();
    let step = CompleteStep {
        output: Some("//4K".into()),
        encoding: ValueEncoding::Base64,
        stderr: Some("warned\n".to_owned()),
        stderr_base64: None,
    };
    client.complete_step("cmd", &step).await.unwrap();
    let stored = StepCallResult {
        output: Some(Payload::Base64("//4K".to_owned())),
        stderr: Some(Payload::Text("warned\n".to_owned())),
    };
    assert_eq!(world.memory.kept.lock().unwrap().steps["cmd"], Some(stored));
    let expected = BeginStepAnswer::Done {
        output: Some("//4K".into()),
        encoding: ValueEncoding::Base64,
        stderr: Some("warned\n".to_owned()),
        stderr_base64: None,
    };
    assert_eq!(client.begin_step("cmd", &begin).await.unwrap(), expected);
}

#[tokio::test]
async fn a_python_program_sees_plain_json() {
    let world = World::new();
    let begun = world.request("POST", "/agent/v1/steps/fetch/begin", "").await;
    assert!(begun.ends_with("\r\n\r\n{\"status\":\"run\"}"), "{begun}");
    let done = world.request("POST", "/agent/v1/steps/fetch/complete", r#"{"output":[1]}"#).await;
    assert!(done.starts_with("HTTP/1.1 200 OK\r\n") && done.ends_with("\r\n\r\n{}"), "{done}");
    let replayed = world.request("POST", "/agent/v1/steps/fetch/begin", "{}").await;
    assert!(replayed.ends_with("\r\n\r\n{\"status\":\"done\",\"output\":[1]}"), "{replayed}");
}

#[tokio::test]
async fn a_failed_step_records_its_error() {
    let world = World::new();
    let mut client = world.client();
    let error = StepError {
        code: "exit_nonzero".to_owned(),
        message: "exit code 3".to_owned(),
        retryable: None,
    };
    client.fail_step("s", &FailStep { error, exit_code: Some(3) }).await.unwrap();
    let kept = world.memory.kept.lock().unwrap();
    let (key, failure, exit_code) = &kept.failures[0];
    assert_eq!((key.as_str(), failure.step.as_deref(), *exit_code), ("s", Some("s"), Some(3)));
    assert_eq!(failure.code.as_str(), "exit_nonzero");
}

#[tokio::test]
async fn states_outputs_events_and_results_reach_the_backend() {
    let world = World::new();
    let mut client = world.client();
    assert_eq!(client.checkpoint().await.unwrap().state, None);
    let state = json!({"page": 7, "text": "é\u{0}"});
    client.save_checkpoint(&SaveCheckpoint { state: state.clone() }).await.unwrap();
    assert_eq!(client.checkpoint().await.unwrap().state, Some(state));
    let output = SetOutput { output: "plain".into(), encoding: ValueEncoding::Text };
    client.set_output(&output).await.unwrap();
    client.output_part(&OutputPart { text: "pl".to_owned() }).await.unwrap();
    let event = ReportedEvent { kind: "model.called".to_owned(), data: json!({"model": "m"}) };
    let answer = client.report(&ReportEvents { events: vec![event.clone()] }).await.unwrap();
    assert_eq!(answer.recorded, 1);
    let result = Checkback {
        status: CheckbackStatus::Completed,
        output: Some(Value::Null),
        error: None,
        exit_code: Some(0),
    };
    client.checkback(&result).await.unwrap();
    let kept = world.memory.kept.lock().unwrap();
    assert_eq!(kept.output, Some(Payload::Text("plain".to_owned())));
    assert_eq!(kept.parts, ["pl"]);
    assert_eq!(kept.events, [event]);
    assert_eq!(kept.result.as_ref().unwrap().exit_code, Some(0));
}

#[tokio::test]
async fn an_event_that_only_errand_writes_is_refused_with_the_whole_batch() {
    let world = World::new();
    let mut client = world.client();
    let event = |kind: &str, data| ReportedEvent { kind: kind.to_owned(), data };
    let events = vec![event("tool.called", json!({})), event("run.completed", json!({}))];
    let reserved = client.report(&ReportEvents { events }).await;
    assert_eq!(refused(reserved), (400, ErrorCode::EventInvalid));
    let none = client.report(&ReportEvents { events: Vec::new() }).await;
    assert_eq!(refused(none), (400, ErrorCode::RequestInvalid));
    let events = vec![event("tool.called", json!({})); 1001];
    let many = client.report(&ReportEvents { events }).await;
    assert_eq!(refused(many), (400, ErrorCode::RequestInvalid));
    assert_eq!(world.memory.kept.lock().unwrap().events, []);
}

#[tokio::test]
async fn an_artifact_is_streamed_hashed_and_leaves_nothing_behind() {
    let world = World::new();
    let mut client = world.client();
    let file = world.folder.path().join("report");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    std::fs::write(&file, &bytes).unwrap();
    let answer = client.keep_artifact("out/r 1.bin", &file, Some("image/png")).await.unwrap();
    assert_eq!(answer.digest, Digest::of(&bytes).as_str());
    assert_eq!(answer.uri, "artifact://01hzyrun000000000000/out/r 1.bin");
    assert_eq!((answer.size_bytes, answer.media_type.as_deref()), (3_000_000, Some("image/png")));
    assert_eq!(world.memory.kept.lock().unwrap().artifacts["out/r 1.bin"].0, bytes);
    assert_eq!(world.uploads(), 0);
    for name in ["../x", "/etc/passwd", "", "a//b"] {
        let escape = client.keep_artifact(name, &file, None).await;
        assert_eq!(refused(escape), (400, ErrorCode::ArtifactInvalid), "{name}");
    }
    let missing = client.keep_artifact("x", &world.folder.path().join("none"), None).await;
    assert!(matches!(missing, Err(ClientError::File { .. })), "{missing:?}");
    let folder = client.keep_artifact("x", world.folder.path(), None).await;
    assert!(matches!(folder, Err(ClientError::File { .. })), "{folder:?}");
    std::fs::write(&file, b"").unwrap();
    assert_eq!(client.keep_artifact("empty", &file, None).await.unwrap().size_bytes, 0);
}

#[tokio::test]
async fn a_session_is_changed_only_from_its_latest_revision() {
    let world = World::new();
    let mut client = world.client();
    let put = |revision| PutSession { state: json!({"r": revision}), revision };
    assert_eq!(client.put_session(&put(Some(0))).await.unwrap().revision, 1);
    let stale = client.put_session(&put(Some(0))).await;
    assert_eq!(refused(stale), (409, ErrorCode::SessionConflict));
    assert_eq!(client.put_session(&put(None)).await.unwrap().revision, 2);
    assert_eq!(client.session().await.unwrap().state, json!({"r": null}));
}

#[tokio::test]
async fn a_run_without_a_brief_answers_brief_missing() {
    let world = World::new();
    assert_eq!(refused(world.client().brief().await), (404, ErrorCode::BriefMissing));
}

#[tokio::test]
async fn questions_to_people_are_checked_and_reach_the_backend() {
    let world = World::new();
    let mut client = world.client();
    let digest = Digest::of(b"what would be done");
    let ask = AskApproval {
        action: "deploy".to_owned(),
        target: "production".to_owned(),
        digest: Some(digest.to_string()),
        default: Some(DeadlineDefault::Cancel),
        timeout_ms: Some(1500),
        wait_ms: Some(1),
        ..AskApproval::default()
    };
    let answer = client.ask_approval(&ask).await.unwrap();
    assert_eq!((answer.decision, answer.digest), (None, digest.to_string()));
    let asked = world.memory.kept.lock().unwrap().approvals.pop().unwrap();
    assert_eq!(asked.digest, Some(digest));
    assert_eq!(asked.terms.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(asked.terms.wait, Duration::from_millis(1));

    let schema = Some(json!({"type": "string"}));
    let ask = AskInput { prompt: "Which one?".to_owned(), schema, ..AskInput::default() };
    let ask = AskInput { wait_ms: Some(0), park: true, ..ask };
    assert_eq!(client.ask_input(&ask).await.unwrap().status, InputStatus::Answered);
    assert!(world.memory.kept.lock().unwrap().inputs.pop().unwrap().terms.park);
}

#[tokio::test]
async fn a_malformed_question_is_refused_with_the_field_named() {
    let world = World::new();
    for (path, body, what) in [
        ("approvals", json!({"action": " ", "target": "x"}), "action is empty"),
        ("approvals", json!({"action": "a"}), "target"),
        ("approvals", json!({"action": "a", "target": "b", "digest": "12"}), "digest"),
        ("approvals", json!({"action": "a", "target": "b", "timeout_ms": 0}), "timeout_ms"),
        ("approvals", json!({"action": "a", "target": "b", "default": "maybe"}), "maybe"),
        ("approvals", json!({"action": "a", "target": "b", "who": "me"}), "who"),
        ("inputs", json!({"prompt": ""}), "prompt is empty"),
        ("inputs", json!({"prompt": "p", "schema": "x".repeat(25_000)}), "schema has 25002 bytes"),
    ] {
        let path = format!("/agent/v1/{path}");
        let answer = world.request("POST", &path, &body.to_string()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains(what), "{what}: {answer}");
    }
    let kept = world.memory.kept.lock().unwrap();
    assert!(kept.approvals.is_empty() && kept.inputs.is_empty());
}

#[tokio::test]
async fn sixty_four_calls_are_under_way_at_once() {
    // No call is answered before all have arrived.
    let world = World::with_calls_together(64);
    let mut calls = JoinSet::new();
    for number in 0..64 {
        let mut client = world.client();
        calls.spawn(async move {
            client.output_part(&OutputPart { text: number.to_string() }).await.unwrap();
        });
    }
    let all = async { while calls.join_next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
    assert_eq!(world.memory.kept.lock().unwrap().parts.len(), 64);
}

#[tokio::test]
async fn the_control_stream_sends_present_and_later_events() {
    let mut world = World::new();
    world.memory.kept.lock().unwrap().cancelled = true;
    let mut stream = UnixStream::connect(world.socket()).await.unwrap();
    let head = format!(
        "GET /agent/v1/control HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = async |wanted: &str| loop {
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.unwrap();
        match line.unwrap() {
            Some(line) if line.contains(wanted) => break true,
            Some(_) => {}
            None => break false,
        }
    };
    assert!(next("text/event-stream").await);
    assert!(next("event: cancel").await);
    assert!(next(r#"data: {"type":"cancel","reason":"asked","grace_ms":1000}"#).await);
    let wake = ControlEvent::Wake { reason: "manual".to_owned(), payload: Some(json!([1])) };
    world.memory.control.send(wake).unwrap();
    assert!(next("event: wake").await);
    assert!(next(r#"data: {"type":"wake","reason":"manual","payload":[1]}"#).await);
    world.shut_down().await;
    assert!(!next("nothing more").await);
}

#[tokio::test]
async fn only_the_owner_can_open_the_socket_and_it_goes_with_its_server() {
    let mut world = World::new();
    let mode = std::fs::metadata(world.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut client = world.client();
    client.checkin().await.unwrap();
    world.shut_down().await;
    assert!(!world.socket().exists());
    let gone = world.client().checkin().await.unwrap_err();
    assert!(matches!(gone, ClientError::Unreachable { .. }), "{gone:?}");
    assert_eq!(gone.code(), ErrorCode::AgentApiUnreachable);
    // A call on a connection that is already open fails in the same way.
    assert_eq!(client.checkin().await.unwrap_err().code(), ErrorCode::AgentApiUnreachable);
}
