//! Reports of runs to addresses that callers give.

use std::io::Write as _;
use std::process::{Command, Stdio};

use errand_testkit::{LIMIT, ReceivedRequest, Receiver, wait_until};
use serde_json::{Value, json};

use crate::hooks::echo;
use crate::support::TestGateway;

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
fn deliveries(server: &TestGateway) -> [u64; 3] {
    let text = server.get("/metrics").expect(200).body;
    ["delivered", "failed", "abandoned"].map(|outcome| {
        let name = format!("errand_webhook_deliveries_total{{outcome=\"{outcome}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    })
}

/// Returns what a script of Python prints, without blanks around it.
pub(crate) fn python(script: &str, arguments: &[&str], stdin: &[u8]) -> String {
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

fn body(report: &ReceivedRequest) -> Value {
    serde_json::from_slice(&report.body).unwrap()
}

#[test]
fn a_run_reports_its_end_signed_with_the_secret_that_was_shown_once() {
    let (server, receiver) = (TestGateway::serving(&echo()), Receiver::start());
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
