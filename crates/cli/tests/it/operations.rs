//! Operation of a server: health, metrics, logs.

use std::path::PathBuf;

use errand_testkit::{ErrandServer, HttpRequest, LIMIT, Response, Sandbox, TestAgent, wait_until};
use serde_json::Value;

use crate::access::{ALL, key};
use crate::support::{finish, sandbox, start};
use crate::workers::Queue;

fn metrics(server: &ErrandServer, key: &str) -> Response {
    let request =
        HttpRequest::new("GET", "/metrics").header("Accept", "application/openmetrics-text");
    server.send(&request.header("Authorization", &format!("Bearer {key}")))
}

/// Queues a run of an agent that calls a model, for the server's own worker.
fn queued(sandbox: &Sandbox) -> String {
    let call = r#"{"provider":"openai","model":"gpt-4o","input_tokens":120,"output_tokens":30}"#;
    let script = format!("errand agent emit model.called '{call}'\n");
    let agent = sandbox.agent(&TestAgent::shell(&script).named("caller"));
    Queue::of(sandbox).add(&agent)
}

#[test]
fn metrics_count_runs_model_calls_requests_and_process_resources() {
    let sandbox = sandbox();
    let operator = key(&sandbox, "operator", ALL, &[]);
    let server = ErrandServer::start(&sandbox, &[]);
    let run_id = queued(&sandbox);
    drop(finish(&sandbox, &run_id));
    let has = |text: &str, line: &str| text.lines().any(|it| it.starts_with(line));
    wait_until("the end of the run is counted", LIMIT, || {
        let text = metrics(&server, &operator).expect(200).body;
        has(&text, r#"errand_runs_transitions_total{status="completed"} 1"#)
    });
    let answer = metrics(&server, &operator).expect(200);
    let media_type = answer.header("content-type").unwrap_or_default();
    assert!(media_type.starts_with("application/openmetrics-text; version=1.0.0"), "{media_type}");
    let text = answer.body;
    for line in [
        "# HELP errand_claim_latency_seconds ",
        "# UNIT errand_claim_latency_seconds seconds",
        "errand_claim_latency_seconds_count 1",
        r#"errand_run_duration_seconds_count{agent="caller",status="completed"} 1"#,
        r#"errand_run_duration_seconds_bucket{le="+Inf",agent="caller",status="completed"} 1"#,
        r#"errand_model_tokens_total{provider="openai",model="gpt-4o",kind="input"} 120"#,
        r#"errand_model_calls_total{provider="openai",model="gpt-4o"} 1"#,
        "errand_attempts_started_total 1",
        "errand_store_commit_seconds_count ",
        r#"errand_http_requests_total{route="get_metrics",status="200"} "#,
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "process_open_fds ",
        "process_start_time_seconds 1",
        concat!("errand_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        r#"errand_queue_ready_runs{namespace="default"} 0"#,
        r#"errand_live_runs{status="running"} 0"#,
        "errand_open_approvals 0",
        "errand_open_approvals_oldest_seconds 0",
        r#"errand_worker_slots{worker=""#,
        r#"errand_worker_busy_slots{worker=""#,
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
    assert_eq!(text.lines().last(), Some("# EOF"));
}

#[test]
fn live_runs_and_open_approvals_are_counted() {
    let sandbox = sandbox();
    let operator = key(&sandbox, "operator", ALL, &[]);
    let server = ErrandServer::start(&sandbox, &["--slots", "0"]);
    let asks = TestAgent::shell("errand agent approve --action pay --target shop\n").named("asks");
    let run_id = start(&sandbox, &sandbox.agent(&asks), &[]);
    wait_until("an approval is open", LIMIT, || {
        let text = metrics(&server, &operator).expect(200).body;
        text.contains("\nerrand_open_approvals 1.0\n")
            && text.contains("errand_live_runs{status=\"paused\"} 1.0")
    });
    drop(sandbox.errand(["stop", &run_id]).run().ok());
}

/// Parses the text with Prometheus' own client.
fn check_by_prometheus(sandbox: &Sandbox, text: &str) {
    const SCRIPT: &str = "import sys\n\
        from prometheus_client.parser import text_string_to_metric_families as parse\n\
        types = {it.name: it.type for it in parse(open(sys.argv[1]).read())}\n\
        unknown = [name for name, kind in types.items() if kind in ('unknown', 'untyped')]\n\
        assert not unknown, unknown\n\
        print(types['errand_runs_admitted'], types['errand_live_runs'], \
              types['errand_store_commit_seconds'])\n";

    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("prometheus");
    if !folder.join("ready").is_file() {
        let warning = "SKIPPED: Prometheus' parser is not there; `cargo xtask test` installs it";
        // Written past the capture of a passing test's output, so that it is seen.
        drop(std::fs::write("/dev/stderr", format!("\n{warning}\n")));
        return;
    }
    let (script, file) = (sandbox.write("parse.py", SCRIPT), sandbox.write("metrics.txt", text));
    let parsed = sandbox.tool(folder.join("bin/python"), [script, file]).run().ok();
    assert_eq!(parsed.stdout(), "counter gauge histogram\n");
}

#[test]
fn metrics_are_classic_text_unless_open_metrics_is_asked_for() {
    let sandbox = sandbox();
    let operator = key(&sandbox, "operator", ALL, &[]);
    let server = ErrandServer::start(&sandbox, &[]);
    let bearer = format!("Bearer {operator}");
    let ask = |accept: &str| {
        let request = HttpRequest::new("GET", "/metrics").header("Authorization", &bearer);
        server.send(&request.header("Accept", accept)).expect(200)
    };
    let classic = ask("text/plain");
    let media_type = classic.header("content-type").unwrap_or_default();
    assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
    let text = classic.body;
    assert!(text.contains("\n# TYPE errand_runs_admitted_total counter\n"), "{text}");
    assert!(text.contains("\n# TYPE errand_build_info gauge\n"), "{text}");
    assert!(!text.contains("# UNIT") && !text.contains("# EOF"), "{text}");
    check_by_prometheus(&sandbox, &text);
    // Each sample belongs to the preceding description.
    let mut described = String::new();
    for line in text.lines() {
        if let Some(named) = line.strip_prefix("# TYPE ") {
            described = named.split(' ').next().unwrap_or_default().to_owned();
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let end = name.strip_prefix(described.as_str());
            assert!(
                end.is_some_and(|end| ["", "_sum", "_count", "_bucket"].contains(&end)),
                "{line}"
            );
        }
    }
}

#[test]
fn each_request_is_one_line_of_json_with_its_id_and_without_secrets() {
    let sandbox = sandbox();
    let mine = key(&sandbox, "mine", "runs:read", &[]);
    let operator = key(&sandbox, "operator", ALL, &[]);
    let server = ErrandServer::start(&sandbox, &["--log-format", "json"]);
    let made = HttpRequest::post("/v1/keys", r#"{"name":"ci","scopes":["runs:read"]}"#)
        .header("Content-Type", "application/json")
        .header("Authorization", &format!("Bearer {operator}"));
    let made = server.send(&made).expect(201).json();
    let request = HttpRequest::new("GET", "/v1/runs?label=token=hunter2")
        .header("X-Request-Id", "req-7")
        .header("Authorization", &format!("Bearer {mine}"));
    drop(server.send(&request).expect(200));
    server.process().wait_for_stderr("req-7");
    let said = server.process().stderr();
    let line = said.lines().find(|line| line.contains("req-7")).expect("a line");
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["path"], "/v1/runs");
    assert_eq!(line["status"], 200);
    assert_eq!(line["route"], "list_runs");
    assert_eq!(line["key"].as_str().map(str::len), Some(8));
    assert!(line["took_us"].is_u64(), "{line}");
    let secret = mine.rsplit('_').next().expect("a secret");
    assert!(!said.contains(secret) && !said.contains("hunter2"), "{said}");
    assert!(!said.contains(made["key"].as_str().expect("a key")), "a key is in the log");
    let quiet = ErrandServer::start(&sandbox, &["--log-level", "warn"]);
    drop(quiet.get("/healthz").expect(200));
    assert!(!quiet.process().stderr().contains("healthz"), "{}", quiet.process().stderr());
}

#[test]
fn the_start_of_a_server_is_audited_with_its_configuration_and_no_secret() {
    let sandbox = sandbox();
    let header = ["--otlp-endpoint", "http://127.0.0.1:9", "--otlp-header", "x-token=hunter2"];
    let server = ErrandServer::start(&sandbox, &header);
    drop(server.get("/healthz").expect(200));
    let audited = sandbox.errand(["audit", "ls", "--json"]).run().ok().stdout();
    assert!(audited.contains("server.started") && audited.contains("--otlp-endpoint"), "{audited}");
    assert!(!audited.contains("hunter2"), "{audited}");
}

#[test]
fn a_worker_serves_its_metrics_on_an_address_of_its_own_without_a_key() {
    let sandbox = sandbox();
    drop(key(&sandbox, "me", ALL, &[]));
    let run_id = queued(&sandbox);
    let worker = sandbox.errand(["worker", "--metrics-listen", "127.0.0.1:0"]).spawn();
    worker.wait_for_stderr("/metrics");
    drop(finish(&sandbox, &run_id));
    let said = worker.stderr();
    let address = said.split_once("http://").and_then(|(_, rest)| rest.split_once('/'));
    let address = address.expect("an address").0;
    wait_until("the run is counted", LIMIT, || {
        let text = HttpRequest::new("GET", "/metrics").send(address).expect(200).body;
        text.contains("errand_runs_transitions_total{status=\"completed\"} 1")
    });
    drop(HttpRequest::new("GET", "/healthz").send(address).expect(200));
    assert_eq!(HttpRequest::new("GET", "/v1/runs").send(address).status, 404);
}
