//! `errand up`: the server as a process.

use errand_testkit::{ErrandServer, HttpRequest};

use crate::support::sandbox;

#[test]
fn a_server_prints_its_address_serves_its_description_and_ends_on_sigterm() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let document = server.get("/openapi.json").expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(server.get("/v1/runs").expect(200).json()["runs"], serde_json::json!([]));
    let running = server.into_process();
    running.terminate();
    drop(running.wait().ok());
}

#[test]
fn unknown_routes_and_methods_are_problems_with_codes() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
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
