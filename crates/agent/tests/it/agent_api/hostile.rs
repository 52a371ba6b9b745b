//! Refused requests, and clients that must not disturb others.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use errand_agent::agent_api::{AgentApiBindError, AgentApiServer, Bind, Client, ClientError};
use errand_api::agent_protocol::{AgentApiProblem, OutputPart};
use errand_api::error_code::ErrorCode;

use super::memory::{TOKEN, World};

/// Status, code and detail of the problem in an answer.
#[track_caller]
fn problem(answer: &str) -> (u16, String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let problem: AgentApiProblem = serde_json::from_str(body).unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {} {}", problem.status, problem.title)), "{head}");
    assert_eq!(problem.type_uri, format!("urn:errand:error:{}", problem.code));
    (problem.status, problem.code, problem.detail)
}

#[tokio::test]
async fn only_the_token_of_this_attempt_is_accepted() {
    let world = World::new();
    for token in ["other", "a-token-of-this-attempX", "", "a-token-of-this-attempt "] {
        let head = format!(
            "POST /agent/v1/checkin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}x\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = world.raw(head.into_bytes()).await;
        assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
        assert_eq!((problem(&answer).0, problem(&answer).1), (401, "token_invalid".to_owned()));
    }
    let none = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec();
    assert_eq!(problem(&world.raw(none).await).0, 401);
}

#[tokio::test]
async fn a_superseded_attempt_is_answered_with_fenced() {
    let world = World::new();
    let mut client = world.client();
    client.checkin().await.unwrap();
    world.revoke.revoke();
    let fenced = client.checkin().await.unwrap_err();
    assert_eq!(fenced.code(), ErrorCode::Fenced);
    assert!(matches!(fenced, ClientError::Refused(problem) if problem.status == 409));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let world = World::new();
    let nowhere = world.request("GET", "/agent/v1/nowhere", "").await;
    assert_eq!(problem(&nowhere).0, 404);
    let wrong = world.request("DELETE", "/agent/v1/session", "").await;
    assert!(wrong.contains("\r\nallow: GET, PUT\r\n"), "{wrong}");
    assert_eq!(problem(&wrong).0, 405);
}

#[tokio::test]
async fn a_malformed_body_is_refused_with_its_line() {
    let world = World::new();
    let check = async |method: &str, path: &str, body: &str| {
        let answer = world.request(method, path, body).await;
        let (status, code, detail) = problem(&answer);
        assert_eq!((status, code.as_str()), (400, "request_invalid"), "{body}");
        detail
    };
    let detail = check("PUT", "/agent/v1/checkpoint", "{\n \"state\": 1,\n \"stat\": 2}").await;
    assert!(detail.contains("unknown field `stat`") && detail.contains("line 3"), "{detail}");
    let detail = check("PUT", "/agent/v1/checkpoint", "{\"state\":").await;
    assert!(detail.contains("line 1 column 9"), "{detail}");
    let detail = check("PUT", "/agent/v1/checkpoint", "").await;
    assert!(detail.contains("missing field `state`"), "{detail}");
    check("PUT", "/agent/v1/output", r#"{"output":1,"encoding":"text"}"#).await;
    check("PUT", "/agent/v1/output", r#"{"output":"?","encoding":"base64"}"#).await;
    check("POST", "/agent/v1/steps/s/begin", r#"{"fingerprint":"md5:1"}"#).await;
    let detail = check("POST", "/agent/v1/steps/s/begin", r#"{"kind":"modle"}"#).await;
    assert_eq!(detail, "kind: \"modle\" is no kind of step: command, model, tool");
    check("POST", "/agent/v1/steps/s/complete", r#"{"stderr":"a","stderr_base64":"YQ=="}"#).await;
    check("POST", "/agent/v1/checkback", r#"{"status":"completed","error":{"message":"m"}}"#).await;
    check("POST", "/agent/v1/checkin", "[1]").await;
    let nested = "[".repeat(100_000);
    check("PUT", "/agent/v1/checkpoint", &format!("{{\"state\":{nested}")).await;
    let key = world.request("POST", "/agent/v1/steps//begin", "").await;
    assert_eq!(problem(&key).1, "step_key_invalid");
    assert!(world.memory.kept.lock().unwrap().checkpoint.is_none());
}

#[tokio::test]
async fn a_body_over_its_limit_is_refused_with_or_without_a_declared_length() {
    let world = World::new();
    let declared = format!(
        "PUT /agent/v1/checkpoint HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: 16777217\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(problem(&world.raw(declared.into_bytes()).await).0, 413);
    let mut chunked = format!(
        "PUT /agent/v1/checkpoint HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..17 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend_from_slice(&vec![b' '; 0x10_0000]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(problem(&world.raw(chunked).await).0, 413);
    let upload = format!(
        "POST /agent/v1/artifacts/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: 1073741825\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(problem(&world.raw(upload.into_bytes()).await).0, 413);
    assert_eq!(world.uploads(), 0);
}

#[tokio::test]
async fn the_file_of_an_interrupted_upload_is_removed() {
    let world = World::new();
    let head = format!(
        "POST /agent/v1/artifacts/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: 1000\r\n\r\nhalf of it"
    );
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    wait(|| world.uploads() == 1).await;
    drop(stream);
    wait(|| world.uploads() == 0).await;
    assert!(world.memory.kept.lock().unwrap().artifacts.is_empty());
}

async fn wait(condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), reached).await.unwrap();
}

#[tokio::test]
async fn silent_and_malformed_clients_do_not_hinder_others() {
    let world = World::new();
    let silent: Vec<UnixStream> =
        (0..100).map(|_| UnixStream::connect(world.socket()).unwrap()).collect();
    let senseless = world.raw(b"\x00\x01\x02 nonsense\r\n\r\n".to_vec()).await;
    assert!(senseless.starts_with("HTTP/1.1 400 "), "{senseless}");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let answer = world.raw(long.into_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 414 "), "{answer}");
    world.client().checkin().await.unwrap();
    drop(silent);
}

#[tokio::test]
async fn a_call_under_way_is_answered_before_the_server_is_gone() {
    let mut world = World::with_calls_together(2);
    let mut client = world.client();
    let mut calls = tokio::task::JoinSet::new();
    calls.spawn(async move { client.output_part(&OutputPart { text: "x".to_owned() }).await });
    let memory = Arc::clone(&world.memory);
    wait(|| memory.arrived.load(Ordering::SeqCst) == 1).await;
    // The server begins to shut down before the call may continue.
    tokio::join!(biased; world.shut_down(), memory.together.wait());
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_server_replaces_a_dead_socket_but_no_other_file() {
    let world = World::new();
    let bind = |socket| Bind {
        socket,
        token: TOKEN.to_owned(),
        uploads: world.folder.path().to_owned(),
        leaves_file: false,
    };
    let backend = || Arc::clone(&world.memory) as Arc<dyn errand_agent::agent_api::Backend>;
    let file = world.folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let taken = AgentApiServer::bind(bind(file.clone()), backend());
    assert!(matches!(taken, Err(AgentApiBindError::Socket { .. })), "{taken:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    let long = AgentApiServer::bind(bind(world.folder.path().join("x".repeat(108))), backend());
    assert!(matches!(long, Err(AgentApiBindError::PathTooLong { .. })), "{long:?}");
    // A socket that a dead server left is replaced.
    let stale = world.folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    AgentApiServer::bind(bind(stale), backend()).unwrap();
}

#[test]
fn a_client_outside_of_a_run_reports_the_unset_variable() {
    let unset = Client::from_environment(None, Some(OsStr::new("t"))).unwrap_err();
    assert_eq!(unset.to_string(), "not inside a run: ERRAND_API is not set");
    let api = OsStr::new("unix:///x");
    let unset = Client::from_environment(Some(api), Some(OsStr::new(""))).unwrap_err();
    assert_eq!(unset.to_string(), "not inside a run: ERRAND_TOKEN is not set");
    let odd = Client::from_environment(Some(OsStr::new("ftp://x")), Some(OsStr::new("t")));
    assert!(matches!(odd, Err(ClientError::Address { .. })));
}

/// The page for authors of agents names every call of the agent API.
#[tokio::test]
async fn every_call_of_the_guide_exists() {
    let page = include_str!("../../../../../docs/agent-api.md");
    let world = World::new();
    let mut calls = 0;
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let (_, rest) = row.split_once("/agent/v1").unwrap();
        let (path, _) = rest.split_once('`').unwrap();
        let path = format!("/agent/v1{path}");
        let path = path.replace("{key}", "k").replace("{name}", "n").replace("{tool}", "t");
        let answer = world.request("BREW", &path, "").await;
        assert_eq!(problem(&answer).0, 405, "{path}");
        calls += 1;
    }
    assert!(calls >= 17, "{calls} calls");
}
