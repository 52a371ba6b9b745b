//! Operation of a server: health, and metrics of the queue.

use errand_api::access::KeyScope;
use errand_testkit::{HttpRequest, LIMIT, Response, TestAgent, wait_until};
use serde_json::json;

use crate::support::{TestGateway, with_key};

fn metrics(server: &TestGateway, key: &str) -> Response {
    let request =
        HttpRequest::new("GET", "/metrics").header("Accept", "application/openmetrics-text");
    server.send(&with_key(request, key))
}

#[test]
fn health_and_readiness_need_no_key() {
    let server = TestGateway::new();
    drop(server.key("me", KeyScope::ALL, None));
    assert_eq!(server.get("/v1/runs").status, 401);
    assert_eq!(server.get("/healthz").expect(200).json()["status"], "alive");
    assert_eq!(server.get("/readyz").expect(200).json()["status"], "ready");
}

#[test]
fn waiting_runs_are_counted_by_namespace_for_operators_only() {
    let server = TestGateway::new().having(&TestAgent::shell("true").named("idle"));
    drop(server.create_run(&json!({ "agent": "idle" })));
    let operator = server.key("operator", KeyScope::ALL, None);
    let other = server.key("other", KeyScope::ALL, Some("team-a"));
    wait_until("the server asks for keys", LIMIT, || server.get("/v1/runs").status == 401);
    let text = metrics(&server, &operator).expect(200).body;
    assert!(text.contains(r#"errand_queue_ready_runs{namespace="default"} 1"#), "{text}");
    assert_eq!(metrics(&server, &other).expect(403).json()["code"], "scope_missing");
    assert_eq!(server.get("/metrics").status, 401);
}
