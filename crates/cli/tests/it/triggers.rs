//! Webhooks in and out, and schedules, through a server process.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use errand_testkit::{
    ErrandServer, HttpRequest, LIMIT, Reaction, ReceivedRequest, Receiver, Sandbox, TestAgent,
    wait_until,
};
use serde_json::{Value, json};

use crate::support::{all, sandbox, start};

/// Returns a sandbox with an agent whose output is its input, and the agent's folder.
fn world() -> (Sandbox, PathBuf) {
    let sandbox = sandbox();
    let echo = sandbox.agent(&TestAgent::shell("cat > \"$ERRAND_OUTPUT\"\n").named("echo"));
    (sandbox, echo)
}

/// Starts a server that has the agent.
fn server(sandbox: &Sandbox, agent: &Path) -> ErrandServer {
    let server = ErrandServer::start(sandbox, &[]);
    assert!(matches!(server.push(agent).status, 200 | 201));
    server
}

fn python(script: &str, arguments: &[&str], stdin: &[u8]) -> String {
    let mut python = Command::new("python3")
        .arg("-c")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Returns the signature of a report, by Python's own hmac.
fn signed(secret: &str, report: &ReceivedRequest) -> String {
    let script = "import sys, hmac, hashlib, base64\n\
                  key = base64.b64decode(sys.argv[1].removeprefix('whsec_'))\n\
                  message = f'{sys.argv[2]}.{sys.argv[3]}.'.encode() + sys.stdin.buffer.read()\n\
                  mac = hmac.new(key, message, hashlib.sha256).digest()\n\
                  print('v1,' + base64.b64encode(mac).decode())";
    let (id, timestamp) = (report.header("webhook-id"), report.header("webhook-timestamp"));
    python(script, &[secret, id, timestamp], &report.body)
}

/// Returns the counts of delivery tries: delivered, failed, abandoned.
fn deliveries(server: &ErrandServer) -> [u64; 3] {
    let text = server.get("/metrics").expect(200).body;
    ["delivered", "failed", "abandoned"].map(|outcome| {
        let name = format!("errand_webhook_deliveries_total{{outcome=\"{outcome}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    })
}

fn body(report: &ReceivedRequest) -> Value {
    serde_json::from_slice(&report.body).unwrap()
}

#[test]
fn a_run_reports_its_end_signed_with_the_secret_that_was_shown_once() {
    let (sandbox, agents) = world();
    let (server, receiver) = (server(&sandbox, &agents), Receiver::start());
    let made = server.post("/v1/callback-targets", &json!({ "url": receiver.url("/") }));
    let secret = made.expect(201).json()["secret"].as_str().unwrap().to_owned();
    let wanted =
        json!({ "agent": "echo", "input": { "a": 1 }, "callback_url": receiver.url("/x") });
    let run = server.post("/v1/runs", &wanted).expect(202).json();
    let report = &receiver.wait_for(1)[0];
    assert_eq!(report.header("webhook-signature"), signed(&secret, report));
    let said = body(report);
    assert_eq!(
        (&said["type"], &said["data"]["status"]),
        (&json!("run.completed"), &json!("completed"))
    );
    assert_eq!(said["data"]["run_id"], run["run_id"]);
    assert_eq!(said["data"]["output"], json!({ "a": 1 }));
    let path = format!("/v1/runs/{}/deliveries", run["run_id"].as_str().unwrap());
    wait_until("the delivery is recorded", LIMIT, || {
        server.get(&path).expect(200).json()["callbacks"][0]["state"] == "delivered"
    });
    let log = server.get(&path).expect(200).json();
    assert_eq!(log["callbacks"][0]["id"], report.header("webhook-id"));
    assert_eq!(log["callbacks"][0]["deliveries"][0]["status"], 204);
    let targets = server.get("/v1/callback-targets").expect(200).body;
    assert!(!targets.contains("whsec_"), "{targets}");
    assert_eq!(deliveries(&server), [1, 0, 0]);
}

#[test]
fn a_server_that_is_killed_before_a_report_is_delivered_delivers_it_afterwards() {
    let (sandbox, agents) = world();
    let receiver = Receiver::start();
    receiver.react([Reaction::HangUp]);
    let first = server(&sandbox, &agents);
    let wanted = json!({ "agent": "echo", "input": 1, "callback_url": receiver.url("/") });
    drop(first.post("/v1/runs", &wanted).expect(202));
    let lost = receiver.wait_for(1).remove(0);
    first.process().kill();
    drop(first.into_process().wait());
    let second = server(&sandbox, &agents);
    let again = receiver.wait_for(2).remove(1);
    assert_eq!(again.header("webhook-id"), lost.header("webhook-id"));
    assert_eq!(again.body, lost.body);
    drop(second);
}

#[test]
fn a_run_of_the_command_line_is_reported_by_the_server_that_comes_later() {
    let (sandbox, agents) = world();
    let receiver = Receiver::start();
    let failing = sandbox.agent(&TestAgent::shell("exit 3\n").named("failing"));
    let run_id = start(&sandbox, &failing, &["--callback-url", &receiver.url("/")]);
    drop(sandbox.errand(["wait", &run_id]).run());
    let listed = sandbox.errand(["callbacks", "ls", "--json"]).run().ok().json();
    assert_eq!(listed["callbacks"][0]["state"], "waiting");
    let server = server(&sandbox, &agents);
    let said = body(&receiver.wait_for(1)[0]);
    assert_eq!((&said["type"], &said["data"]["exit_code"]), (&json!("run.failed"), &json!(3)));
    drop(server);
    let words = ["run", "echo", "--callback-url", "ftp://example.com"];
    drop(sandbox.errand(words).run().refuses(2, "neither http nor https"));
}

#[test]
fn an_address_that_is_not_public_is_refused_before_anything_is_created() {
    let (sandbox, agents) = world();
    let made = ["keys", "create", "--name", "me", "--scope", "runs:read,runs:write,admin"];
    let key = sandbox.errand(made).run().ok().stdout_line();
    let server = ErrandServer::start(&sandbox, &["--allow-callback", "10.1.0.0/16"]);
    let bearer = format!("Bearer {key}");
    let send = |method: &str, target: &str, body: &Value| {
        let request = HttpRequest::post(target, body.to_string()).method(method);
        let request = request.header("Content-Type", "application/json");
        server.send(&request.header("Authorization", &bearer))
    };
    let push = ErrandServer::push_request(&agents, "").header("Authorization", &bearer);
    drop(server.send(&push).expect(201));
    for url in [
        "http://127.0.0.1:1/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost/",
        "http://169.254.169.254/latest",
        "https://10.2.0.1/",
        "ftp://example.com/",
    ] {
        let wanted = json!({ "agent": "echo", "input": 1, "callback_url": url });
        let problem = send("POST", "/v1/runs", &wanted).expect(422).json();
        assert_eq!(problem["code"], "callback_refused", "{url}");
        assert_eq!(problem["pointer"], "/callback_url", "{url}");
    }
    assert!(all(&sandbox).is_empty());
    let wanted = json!({ "url": "http://10.1.2.3/" });
    assert_eq!(send("POST", "/v1/callback-targets", &wanted).status, 201);
}

#[test]
fn equal_concurrent_hook_requests_fire_one_run_and_unsigned_ones_none() {
    let (sandbox, agents) = world();
    let server = server(&sandbox, &agents);
    let secret = "a secret of github";
    let hook = json!({
        "agent": "echo",
        "signature": { "type": "github", "secret": secret },
        "input": { "number": "{{ body.number }}", "title": "#{{ body.number }}" },
        "events": { "any_of": ["pull_request"] },
    });
    let put = HttpRequest::post("/v1/hooks/mine", hook.to_string()).method("PUT");
    let made = server.send(&put.header("Content-Type", "application/json")).expect(201).body;
    assert!(!made.contains(secret), "{made}");
    let body = r#"{"number":7}"#;
    let script = "import sys, hmac, hashlib; print(hmac.new(sys.argv[1].encode(), \
                  sys.stdin.buffer.read(), hashlib.sha256).hexdigest())";
    let signature = format!("sha256={}", python(script, &[secret], body.as_bytes()));
    let request = |event: &str, signature: &str| {
        HttpRequest::post("/v1/hooks/mine", body)
            .header("X-GitHub-Event", event)
            .header("X-GitHub-Delivery", "d1")
            .header("X-Hub-Signature-256", signature)
    };
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let send = || server.send(&request("pull_request", &signature));
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().json()).collect()
    });
    let runs: BTreeSet<&str> =
        answers.iter().map(|answer| answer["run_id"].as_str().unwrap()).collect();
    assert_eq!(runs.len(), 1, "{answers:?}");
    let created = answers.iter().filter(|answer| answer["outcome"] == "created").count();
    assert_eq!(created, 1);
    let ping = server.send(&request("ping", &signature)).expect(200).json();
    assert_eq!(ping["outcome"], "skipped");
    let forged = format!("sha256={}", "0".repeat(64));
    let refused = server.send(&request("pull_request", &forged)).expect(401).json();
    assert_eq!(refused["code"], "signature_invalid");
    assert_eq!(server.post("/v1/hooks/unknown", &json!({})).status, 404);
    assert_eq!(server.post("/v1/hooks/other/mine", &json!({})).status, 404);
    let run_id = (*runs.first().unwrap()).to_owned();
    let run = server.get(&format!("/v1/runs/{run_id}/wait")).expect(200).json();
    assert_eq!(run["output"], json!({ "number": 7, "title": "#7" }));
    assert_eq!(run["trigger"]["type"], "webhook");
    assert_eq!(run["trigger"]["source"], "mine");
    assert_eq!(all(&sandbox).len(), 1);
    let log = sandbox.errand(["hooks", "deliveries", "mine", "--json"]).run().ok().json();
    let outcomes: Vec<&str> = log["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|delivery| delivery["outcome"].as_str().unwrap())
        .collect();
    let count = |outcome: &str| outcomes.iter().filter(|one| **one == outcome).count();
    assert_eq!((count("created"), count("coalesced")), (1, 15), "{outcomes:?}");
    assert_eq!((count("skipped"), count("rejected")), (1, 1), "{outcomes:?}");
}

#[test]
fn two_servers_on_one_registry_fire_each_slot_of_a_schedule_once() {
    let (sandbox, agents) = world();
    let (one, two) = (server(&sandbox, &agents), server(&sandbox, &agents));
    let wanted = ["--agent", "echo", "--cron", "@every 1s", "--input", "7", "--overlap", "allow"];
    drop(sandbox.errand(["schedules", "add", "pulse"]).args(wanted).run().ok());
    wait_until("four slots fired", LIMIT, || all(&sandbox).len() >= 4);
    drop(sandbox.errand(["schedules", "pause", "pulse"]).run().ok());
    let runs = all(&sandbox);
    let slots: Vec<i64> =
        runs.iter().map(|run| run["trigger"]["payload"]["slot_ms"].as_i64().unwrap()).collect();
    let distinct: BTreeSet<i64> = slots.iter().copied().collect();
    assert_eq!(distinct.len(), slots.len(), "{slots:?}");
    assert!(runs.iter().all(|run| run["trigger"]["type"] == "schedule"));
    assert!(runs.iter().all(|run| run["trigger"]["source"] == "pulse"));
    let shown = one.get("/v1/schedules/pulse").expect(200).json();
    assert_eq!((&shown["enabled"], &shown["next_fires_ms"]), (&json!(false), &json!([])));
    let fired = two.send(&HttpRequest::new("POST", "/v1/schedules/pulse/fire")).expect(202).json();
    assert!(all(&sandbox).iter().any(|run| run["run_id"] == fired["run_id"]));
}

#[test]
fn an_invalid_schedule_is_refused_over_http_and_on_the_command_line() {
    let (sandbox, agents) = world();
    let server = server(&sandbox, &agents);
    for (wanted, status, code, pointer) in [
        (json!({ "agent": "echo", "cron": "0 0 31 2 *" }), 422, "cron_invalid", "/cron"),
        (
            json!({ "agent": "echo", "cron": "@daily", "timezone": "Mars/Base" }),
            422,
            "time_zone_invalid",
            "/timezone",
        ),
        (json!({ "agent": "nobody", "cron": "@daily" }), 404, "agent_not_found", "/agent"),
        (json!({ "agent": "echo", "cron": "@daily", "x": 1 }), 400, "request_invalid", "/x"),
    ] {
        let problem = server.post("/v1/schedules", &wanted).expect(status).json();
        assert_eq!((&problem["code"], &problem["pointer"]), (&json!(code), &json!(pointer)));
    }
    let words = ["schedules", "add", "never", "--agent", "echo", "--cron", "0 0 30 2 *"];
    drop(sandbox.errand(words).run().refuses(2, "no date ever matches"));
    assert_eq!(server.get("/v1/schedules").expect(200).json()["schedules"], json!([]));
    let good = json!({ "name": "mine", "agent": "echo", "cron": "@daily" });
    assert_eq!(server.post("/v1/schedules", &good).status, 201);
    let again = server.post("/v1/schedules", &good).expect(409).json();
    assert_eq!(again["code"], "schedule_conflict");
    assert_eq!(server.send(&HttpRequest::new("DELETE", "/v1/schedules/mine")).status, 204);
}
