//! Runs over HTTP, with a real server and a real worker.

use std::time::{Duration, Instant};

use errand_testkit::{ErrandServer, HttpRequest, LIMIT, Sandbox, TestAgent, wait_for, wait_until};
use serde_json::{Value, json};

use crate::support::{all, sandbox, sleeper};

/// Starts a server, and pushes an agent to it.
fn serving(sandbox: &Sandbox, agent: &TestAgent) -> ErrandServer {
    let server = ErrandServer::start(sandbox, &[]);
    let pushed = server.push(&sandbox.agent(agent)).expect(201).json();
    assert_eq!(pushed["outcome"], "created");
    server
}

fn status(server: &ErrandServer, run_id: &str) -> Value {
    server.get(&format!("/v1/runs/{run_id}")).expect(200).json()["status"].clone()
}

/// Starts a run of `agent`; returns its id.
fn create(server: &ErrandServer, body: &Value) -> String {
    let record = server.post("/v1/runs", body).expect(202).json();
    record["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_submitted_run_is_queued_executed_by_the_worker_and_listed() {
    let sandbox = sandbox();
    let server = serving(&sandbox, &TestAgent::shell("cat").named("echo"));
    let body = json!({ "agent": "echo", "input": { "a": 1 }, "labels": { "k": "v" }, "name": "n" });
    let answer = server.post("/v1/runs", &body).expect(202);
    let record = answer.json();
    let run_id = record["run_id"].as_str().unwrap();
    assert_eq!(answer.header("location"), Some(format!("/v1/runs/{run_id}").as_str()));
    assert_eq!(record["namespace"], "default");
    assert_eq!(record["agent"]["version"], "1.0.0");
    let over = server.get(&format!("/v1/runs/{run_id}/wait")).expect(200).json();
    assert_eq!((&over["status"], &over["output"]), (&json!("completed"), &json!({ "a": 1 })));
    assert_eq!(over["labels"], json!({ "k": "v" }));
    for query in ["label=k=v", "agent=echo", "name=n", "status=completed", "kind=job"] {
        let page = server.get(&format!("/v1/runs?{query}")).expect(200).json();
        assert_eq!(page["runs"][0]["run_id"], run_id, "{query}");
    }
    for query in ["label=k=w", "agent=other", "status=failed", "live=true", "kind=service"] {
        let page = server.get(&format!("/v1/runs?{query}")).expect(200).json();
        assert_eq!(page["runs"], json!([]), "{query}");
    }
    // The command line shows the same run of the same registry.
    assert_eq!(all(&sandbox)[0]["run_id"], run_id);
}

#[test]
fn a_request_that_waits_for_a_run_returns_its_final_record() {
    let sandbox = sandbox();
    let server = serving(&sandbox, &TestAgent::shell("cat").named("echo"));
    let answer = server.post("/v1/runs/wait", &json!({ "agent": "echo", "input": "hello" }));
    let answer = answer.expect(200);
    let record = answer.json();
    assert_eq!((&record["status"], &record["output"]), (&json!("completed"), &json!("hello")));
    let location = format!("/v1/runs/{}", record["run_id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(location.as_str()));
}

#[test]
fn a_wait_that_times_out_returns_202_and_the_run_continues() {
    let sandbox = sandbox();
    let server = serving(&sandbox, &sleeper());
    let body = json!({ "agent": "sleeper" });
    let late = server.post("/v1/runs/wait?timeout=50ms", &body).expect(202).json();
    let run_id = late["run_id"].as_str().unwrap().to_owned();
    wait_until("the run goes on", LIMIT, || status(&server, &run_id) == "running");
    assert_eq!(server.get(&format!("/v1/runs/{run_id}/wait?timeout=20ms")).status, 202);
    let cancelled = server.post(&format!("/v1/runs/{run_id}/cancel?wait=true"), &json!({}));
    assert_eq!(cancelled.expect(200).json()["status"], "cancelled");
    assert_eq!(server.get(&format!("/v1/runs/{run_id}/wait?timeout=20ms")).status, 200);
    // A second cancellation: the run is over already.
    assert_eq!(server.post(&format!("/v1/runs/{run_id}/cancel"), &json!({})).status, 200);
}

#[test]
fn a_cancellation_without_a_waiting_client_is_completed() {
    let sandbox = sandbox();
    let server = serving(&sandbox, &sleeper());
    let run_id = create(&server, &json!({ "agent": "sleeper" }));
    wait_until("the run is under way", LIMIT, || status(&server, &run_id) == "running");
    let asked = HttpRequest::new("POST", &format!("/v1/runs/{run_id}/cancel"));
    drop(server.send(&asked).expect(202));
    let over = server.get(&format!("/v1/runs/{run_id}/wait")).expect(200).json();
    assert_eq!(over["status"], "cancelled");
}

#[test]
fn a_disconnected_client_cancels_its_run_only_with_on_disconnect_cancel() {
    use std::io::Write as _;

    let sandbox = sandbox();
    let server = serving(&sandbox, &sleeper());
    for (on_disconnect, expected) in [("continue", "running"), ("cancel", "cancelled")] {
        let body = json!({ "agent": "sleeper", "on_disconnect": on_disconnect }).to_string();
        let request = format!(
            "POST /v1/runs/wait HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            server.address(),
            body.len()
        );
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let run_id = wait_for("the run is under way", LIMIT, || {
            let page = server.get("/v1/runs?status=running&limit=1").expect(200).json();
            page["runs"][0]["run_id"].as_str().map(str::to_owned)
        });
        drop(stream);
        if expected == "cancelled" {
            wait_until("the run is cancelled", LIMIT, || status(&server, &run_id) == expected);
        } else {
            // The absence of a cancellation takes a while to see; a cancellation would be there by
            // then.
            let waited = server.get(&format!("/v1/runs/{run_id}/wait?timeout=300ms")).expect(202);
            assert_eq!(waited.json()["status"], "running");
        }
        let cancel = format!("/v1/runs/{run_id}/cancel?wait=true");
        drop(server.post(&cancel, &json!({ "force": true })).expect(200));
    }
}

#[test]
fn an_idempotency_key_gives_the_same_run_and_refuses_another_input() {
    let sandbox = sandbox();
    let server = serving(&sandbox, &TestAgent::shell("cat").named("echo"));
    let send = |input: u64| {
        let body = json!({ "agent": "echo", "input": input }).to_string();
        let request = HttpRequest::post("/v1/runs", body)
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", "k1");
        server.send(&request)
    };
    let first = send(1).expect(202).json();
    let again = send(1).expect(200).json();
    assert_eq!(first["run_id"], again["run_id"]);
    let other = send(2).expect(409).json();
    assert_eq!(other["code"], "idempotency_conflict");
    assert_eq!(all(&sandbox).len(), 1);
}

#[test]
fn bad_input_is_a_problem_with_a_pointer_and_nothing_is_created() {
    let sandbox = sandbox();
    let schema =
        "input_schema: { type: object, required: [n], properties: { n: { type: integer } } }";
    let server = serving(&sandbox, &TestAgent::shell("cat").named("strict").spec(schema));
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
    assert_eq!(all(&sandbox), Vec::<Value>::new());
}

#[test]
fn a_failed_run_is_retried_forked_and_replayed_as_a_new_run() {
    let sandbox = sandbox();
    let script = "errand agent step one -- sh -c 'echo 1'\n\
                  errand agent step two -- sh -c '[ -e ../../../go ]'\n";
    let server = serving(&sandbox, &TestAgent::shell(script).named("steps"));
    let failed = server.post("/v1/runs/wait", &json!({ "agent": "steps" })).expect(200).json();
    assert_eq!(failed["status"], "failed");
    let run_id = failed["run_id"].as_str().unwrap();
    let steps = server.get(&format!("/v1/runs/{run_id}/steps")).expect(200).json();
    assert_eq!(steps["steps"][0]["status"], "completed");
    assert_eq!(steps["steps"][1]["status"], "failed");
    let over = |answer: errand_testkit::Response| {
        let record = answer.expect(202).json();
        let new = record["run_id"].as_str().unwrap().to_owned();
        assert_ne!(new, run_id);
        server.get(&format!("/v1/runs/{new}/wait")).expect(200).json()
    };
    let post = |verb: &str, body: Value| server.post(&format!("/v1/runs/{run_id}/{verb}"), &body);
    for again in [
        over(post("retry", json!({}))),
        over(post("fork", json!({ "from_step": "two" }))),
        over(post("replay", json!({ "policy": "live" }))),
        over(post("restart", json!({}))),
    ] {
        assert_eq!((&again["origin_run_id"], &again["status"]), (&json!(run_id), &json!("failed")));
    }
    let story = post("replay", json!({})).expect(200).json();
    assert_eq!(story["policy"], "inspect");
    assert_eq!(
        post("fork", json!({ "from_step": "x" })).expect(404).json()["code"],
        "step_not_found"
    );
    let trace = server.get(&format!("/v1/runs/{run_id}/trace")).expect(200).json();
    assert_eq!(trace["run_id"], run_id);
    let verified = server.get(&format!("/v1/runs/{run_id}/verify")).expect(200).json();
    assert_eq!((&verified["unbroken"], &verified["sealed"]), (&json!(true), &json!(true)));
    let exported = server.get(&format!("/v1/runs/{run_id}/export")).expect(200);
    assert_eq!(exported.header("content-type"), Some("application/x-tar"));
    assert!(exported.body.contains("events.jsonl"));
    let gone = HttpRequest::new("DELETE", &format!("/v1/runs/{run_id}"));
    drop(server.send(&gone).expect(204));
    assert_eq!(server.send(&gone).expect(404).json()["code"], "run_not_found");
}

#[test]
fn a_run_is_paused_and_resumed_over_http() {
    let sandbox = sandbox();
    let server = serving(&sandbox, &sleeper());
    let run_id = create(&server, &json!({ "agent": "sleeper" }));
    wait_until("the run is under way", LIMIT, || status(&server, &run_id) == "running");
    let post = |verb: &str| server.post(&format!("/v1/runs/{run_id}/{verb}"), &json!({}));
    assert_eq!(post("pause").expect(200).json()["status"], "paused");
    assert_eq!(post("resume").expect(200).json()["status"], "running");
    assert_eq!(post("resume").expect(409).json()["code"], "run_not_paused");
    let live = server.send(&HttpRequest::new("DELETE", &format!("/v1/runs/{run_id}")));
    assert_eq!(live.expect(409).json()["code"], "run_live");
    drop(server.post(&format!("/v1/runs/{run_id}/cancel?wait=true"), &json!({ "force": true })));
    assert_eq!(post("pause").expect(409).json()["code"], "run_not_live");
}

#[test]
fn a_scheduled_run_is_not_begun_before_its_time() {
    let sandbox = sandbox();
    let server = serving(&sandbox, &TestAgent::shell("true").named("noop"));
    let body = json!({ "agent": "noop", "scheduled_at": "2999-01-01T00:00:00Z" });
    let run_id = create(&server, &body);
    // Another run passes it meanwhile.
    let other = server.post("/v1/runs/wait", &json!({ "agent": "noop" })).expect(200).json();
    assert_eq!(other["status"], "completed");
    assert_eq!(status(&server, &run_id), "pending");
    let cancelled = server.post(&format!("/v1/runs/{run_id}/cancel"), &json!({})).expect(200);
    assert_eq!(cancelled.json()["status"], "cancelled");
}

#[test]
fn a_server_that_shuts_down_answers_waiting_clients() {
    let sandbox = sandbox();
    let server = serving(&sandbox, &sleeper());
    let run_id = create(&server, &json!({ "agent": "sleeper" }));
    let address = server.address().to_owned();
    let target = format!("/v1/runs/{run_id}/wait");
    let waiting = std::thread::spawn(move || HttpRequest::new("GET", &target).send(&address));
    wait_until("the run is under way", LIMIT, || status(&server, &run_id) == "running");
    let running = server.into_process();
    running.terminate();
    let began = Instant::now();
    let told = waiting.join().unwrap();
    assert_eq!(told.expect(503).json()["code"], "shutting_down");
    drop(running.wait());
    assert!(began.elapsed() < Duration::from_secs(25));
}

#[test]
fn refused_requests_have_a_hint_with_the_right_form() {
    let sandbox = sandbox();
    let server = serving(&sandbox, &TestAgent::shell("cat").named("echo"));
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
    let sandbox = sandbox();
    let server = serving(&sandbox, &TestAgent::shell("cat").named("echo"));
    for path in ["/v1/runs", "/v1/runs/", "/v1/runs/?limit=1", "/v1/agents/echo/", "/healthz"] {
        let answer = server.get(path).expect(200);
        let length = answer.header("content-length").map(str::to_owned);
        let body = answer.body;
        assert!(body.ends_with('\n'), "{path}");
        assert_eq!(length, Some(body.len().to_string()), "{path}");
    }
    assert!(server.get("/v1/nothing/").expect(404).body.ends_with('\n'));
}
