//! Malformed requests: each is a problem with a code, and creates nothing.

use errand_testkit::{HttpRequest, TestAgent};
use serde_json::{Value, json};

use crate::support::TestGateway;

#[test]
fn bad_input_is_a_problem_with_a_pointer_and_nothing_is_created() {
    let schema =
        "input_schema: { type: object, required: [n], properties: { n: { type: integer } } }";
    let server = TestGateway::new().having(&TestAgent::shell("cat").named("strict").spec(schema));
    let ok = json!({ "agent": "strict", "input": { "n": 1 } });
    let with = |field: &str, value: Value| {
        let mut body = ok.clone();
        body[field] = value;
        body
    };
    for (body, status, code, pointer) in [
        (json!({ "agent": "strict", "input": { "n": "x" } }), 422, "input_invalid", "/input/n"),
        (json!({ "agent": "strict" }), 422, "input_invalid", "/input"),
        (json!({ "agent": "nobody" }), 404, "agent_not_found", "/agent"),
        (json!({ "agent": "strict@9.9.9" }), 404, "agent_not_found", "/agent"),
        (json!({}), 400, "request_invalid", "/agent"),
        (json!([]), 400, "request_invalid", ""),
        (json!({ "agent": 1 }), 400, "request_invalid", "/agent"),
        (with("nonsense", json!(1)), 400, "request_invalid", "/nonsense"),
        (with("priority", json!("high")), 400, "request_invalid", "/priority"),
        (with("labels", json!({ "a": 1 })), 400, "request_invalid", "/labels/a"),
        (with("timeouts", json!({ "run": "soon" })), 400, "request_invalid", "/timeouts/run"),
        (with("timeouts", json!({ "run": "0s" })), 400, "request_invalid", "/timeouts/run"),
        (with("scheduled_at", json!("tomorrow")), 400, "request_invalid", "/scheduled_at"),
        (
            with("budgets", json!({ "cost_usd_per_run": 0.000_000_1 })),
            422,
            "budget_invalid",
            "/budgets/cost_usd_per_run",
        ),
        (with("env", json!({ "A-B": "x" })), 422, "env_invalid", "/env/A-B"),
        (with("name", json!(" x")), 422, "name_invalid", "/name"),
        (with("session_id", json!("a/b")), 422, "name_invalid", "/session_id"),
        (with("on_busy", json!("reject")), 400, "request_invalid", "/on_busy"),
    ] {
        let problem = server.post("/v1/runs", &body).expect(status).json();
        assert_eq!(
            (&problem["code"], &problem["pointer"]),
            (&json!(code), &json!(pointer)),
            "{body}"
        );
    }
    for (body, media_type, status, code) in [
        ("{\"agent\":\n  nope}", "application/json", 400, "request_malformed"),
        ("", "application/json", 400, "request_malformed"),
        ("{}", "text/plain", 415, "content_type_unsupported"),
    ] {
        let request = HttpRequest::post("/v1/runs", body).header("Content-Type", media_type);
        let problem = server.send(&request).expect(status).json();
        assert_eq!(problem["code"], code, "{body:?}");
        if body.contains("nope") {
            assert_eq!((&problem["line"], &problem["column"]), (&json!(2), &json!(4)));
        }
    }
    let large = HttpRequest::post("/v1/runs", vec![b' '; 17 * 1024 * 1024])
        .header("Content-Type", "application/json");
    assert_eq!(server.send(&large).expect(413).json()["code"], "request_too_large");
    assert!(server.runs().is_empty());
}

#[test]
fn refused_requests_have_a_hint_with_the_right_form() {
    let server = TestGateway::new().having(&TestAgent::shell("cat").named("echo"));
    let refused = |body: &Value| {
        let problem = server.post("/v1/runs", body).json();
        let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("detail"), text("hint"))
    };
    let (code, detail, _) = refused(&json!({ "agnt": "echo" }));
    assert_eq!(
        (code.as_str(), detail.as_str()),
        ("request_invalid", "unknown field agnt: did you mean agent?")
    );
    let (_, detail, _) = refused(&json!({ "agent": "echo", "kind": "jbo" }));
    assert_eq!(detail, "\"jbo\" is no kind: job or heartbeat");
    let (code, _, hint) = refused(&json!({ "agent": "ehco" }));
    assert_eq!((code.as_str(), hint.as_str()), ("agent_not_found", "did you mean echo?"));
    let (code, _, hint) = refused(&json!({ "agent": "echo@9.0.0" }));
    assert_eq!((code.as_str(), hint.as_str()), ("agent_not_found", "versions of echo: 1.0.0"));
    let (code, _, hint) = refused(&json!({ "agent": "echo", "callback_url": "http://10.1.2.3/" }));
    assert_eq!(code, "callback_refused");
    assert!(hint.ends_with("--allow-callback 10.1.2.3"), "{hint}");
    let plain = HttpRequest::new("POST", "/v1/runs").body(r#"{"agent":"echo"}"#);
    let problem = server.send(&plain).expect(415).json();
    assert_eq!(problem["hint"], "send Content-Type: application/json (curl --json)");
    let large = json!({ "agent": "echo", "input": "x".repeat(20 * 1024 * 1024) });
    let problem = server.post("/v1/runs", &large).json();
    assert!(problem["detail"].as_str().unwrap().ends_with(" MiB"), "{problem}");
}

#[test]
fn json_ends_with_a_newline_and_a_path_may_end_with_a_slash() {
    let server = TestGateway::new().having(&TestAgent::shell("cat").named("echo"));
    for path in ["/v1/runs", "/v1/runs/", "/v1/runs/?limit=1", "/v1/agents/echo/", "/healthz"] {
        let answer = server.get(path).expect(200);
        let length = answer.header("content-length").map(str::to_owned);
        let body = answer.body;
        assert!(body.ends_with('\n'), "{path}");
        assert_eq!(length, Some(body.len().to_string()), "{path}");
    }
    assert!(server.get("/v1/nothing/").expect(404).body.ends_with('\n'));
}

#[test]
fn unknown_routes_and_methods_are_problems_with_codes() {
    let server = TestGateway::new();
    for (method, target, status, code) in [
        ("GET", "/nothing", 404, "path_not_found"),
        ("PUT", "/v1/runs", 405, "method_not_allowed"),
        ("GET", "/v1/runs/nonsense", 400, "parameter_invalid"),
        ("GET", "/v1/runs/01234567890123456789", 404, "run_not_found"),
        ("GET", "/v1/runs?nonsense=1", 400, "parameter_invalid"),
        ("GET", "/v1/runs?limit=0", 400, "parameter_invalid"),
        ("GET", "/v1/runs?label=x", 400, "parameter_invalid"),
    ] {
        let answer = server.send(&HttpRequest::new(method, target)).expect(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{method} {target}");
        assert_eq!(problem["status"], status, "{method} {target}");
    }
    let answer = server.send(&HttpRequest::new("PUT", "/v1/runs")).expect(405);
    assert_eq!(answer.header("allow"), Some("POST,GET,HEAD"));
}
