//! Hooks, schedules and addresses of reports over HTTP.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use errand_api::access::KeyScope;
use errand_gateway::Config;
use errand_testkit::{ErrandServer, HttpRequest, TestAgent};
use serde_json::{Value, json};

use crate::reports::python;
use crate::support::{TestGateway, json_request, with_key};

/// Returns an agent whose output is its input.
pub(crate) fn echo() -> TestAgent {
    TestAgent::shell("cat > \"$ERRAND_OUTPUT\"\n").named("echo")
}

/// Returns the HMAC of a text in hex digits, by Python's own hmac.
fn hmac_sha256(secret: &str, text: &str) -> String {
    let script = "import sys, hmac, hashlib; print(hmac.new(sys.argv[1].encode(), \
                  sys.stdin.buffer.read(), hashlib.sha256).hexdigest())";
    python(script, &[secret], text.as_bytes())
}

#[test]
fn an_address_that_is_not_public_is_refused_before_anything_is_created() {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let allow_callbacks = vec!["10.1.0.0/16".parse().unwrap()];
    let server = TestGateway::with(Config { allow_callbacks, ..Config::new(listen) });
    let key = server.key("me", KeyScope::ALL, None);
    let send = |method: &str, target: &str, body: &Value| {
        server.send(&with_key(json_request(method, target, body), &key))
    };
    let push = ErrandServer::push_request(&server.agent(&echo()), "");
    drop(server.send(&with_key(push, &key)).expect(201));
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
    assert!(server.runs().is_empty());
    let wanted = json!({ "url": "http://10.1.2.3/" });
    assert_eq!(send("POST", "/v1/callback-targets", &wanted).status, 201);
}

#[test]
fn equal_concurrent_hook_requests_fire_one_run_and_unsigned_ones_none() {
    let server = TestGateway::serving(&echo());
    let secret = "a secret of github";
    let hook = json!({
        "agent": "echo",
        "signature": { "type": "github", "secret": secret },
        "input": { "number": "{{ body.number }}", "title": "#{{ body.number }}" },
        "events": { "any_of": ["pull_request"] },
    });
    let made = server.send(&json_request("PUT", "/v1/hooks/mine", &hook)).expect(201).body;
    assert!(!made.contains(secret), "{made}");
    let body = r#"{"number":7}"#;
    let signature = format!("sha256={}", hmac_sha256(secret, body));
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
    assert_eq!(server.runs().len(), 1);
    let log = server.get("/v1/hooks/mine/deliveries").expect(200).json();
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
fn an_invalid_schedule_is_refused() {
    let server = TestGateway::new().having(&echo());
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
    assert_eq!(server.get("/v1/schedules").expect(200).json()["schedules"], json!([]));
    let good = json!({ "name": "mine", "agent": "echo", "cron": "@daily" });
    assert_eq!(server.post("/v1/schedules", &good).status, 201);
    let again = server.post("/v1/schedules", &good).expect(409).json();
    assert_eq!(again["code"], "schedule_conflict");
    assert_eq!(server.send(&HttpRequest::new("DELETE", "/v1/schedules/mine")).status, 204);
}
