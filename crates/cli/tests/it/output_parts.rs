//! Parts of an output: many per second, few events.

use errand_testkit::{Sandbox, TestAgent};
use serde_json::Value;

use crate::support::{finish, sandbox, start};

/// A client of the agent API for agents in Python: `say(text)` sends a part of the output,
/// `call(method, path, body)` makes any call.
pub(crate) const CLIENT: &str = "\
import http.client, json, os, socket, sys, time
class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ['ERRAND_API'][len('unix://'):])
local = Local('localhost')
def call(method, path, body):
    local.request(method, '/agent/v1' + path, json.dumps(body), {
        'Authorization': 'Bearer ' + os.environ['ERRAND_TOKEN'], 'Content-Type': 'application/json'})
    answer = local.getresponse()
    text = answer.read()
    assert answer.status < 300, (answer.status, text)
def say(text):
    call('POST', '/output', {'text': text})
";

fn events(sandbox: &Sandbox, run_id: &str) -> Vec<Value> {
    sandbox.errand(["events", run_id, "--json"]).run().ok().json_lines()
}

#[test]
fn the_journal_keeps_parts_in_batches_in_order_and_whole() {
    let sandbox = sandbox();
    let script = format!(
        "{CLIENT}\n\
         for n in range(300): say(f'{{n}} ä ')\n\
         call('POST', '/steps/one/begin', {{}})\n\
         say('within')\n\
         call('POST', '/steps/one/complete', {{'output': 1}})\n\
         say('x' * 20000)\n\
         say('last')\n"
    );
    let agent = sandbox.agent(&TestAgent::python(&script));
    let run_id = start(&sandbox, &agent, &[]);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let events = events(&sandbox, &run_id);
    let mut told: Vec<(&str, String)> = Vec::new();
    let mut length = 0;
    let mut batches = 0;
    for event in &events {
        let kind = event["type"].as_str().unwrap();
        if kind == "output.delta" {
            let text = event["data"]["text"].as_str().unwrap();
            assert_eq!(event["data"]["offset"], length, "{event}");
            length += text.len();
            batches += 1;
            match told.last_mut() {
                Some(("output.delta", all)) => all.push_str(text),
                _ => told.push(("output.delta", text.to_owned())),
            }
        } else if kind.starts_with("step") || kind == "attempt.exited" {
            told.push((kind, String::new()));
        }
    }
    let first: String = (0..300).map(|n| format!("{n} ä ")).collect();
    let last = format!("{}last", "x".repeat(20_000));
    let none = String::new;
    let expected = [
        ("output.delta", first),
        ("step.started", none()),
        ("output.delta", "within".to_owned()),
        ("step.completed", none()),
        ("output.delta", last),
        ("attempt.exited", none()),
    ];
    assert_eq!(told, expected);
    // Four per second, and those that other events caused, however long the run took.
    let deltas = || events.iter().filter(|event| event["type"] == "output.delta");
    let at_ms = |event: Option<&Value>| event.unwrap()["at_ms"].as_u64().unwrap();
    let took_ms = at_ms(deltas().next_back()) - at_ms(deltas().next());
    assert!(batches < 10 + took_ms / 250, "300 parts are few events: {batches} in {took_ms} ms");
    let replay = sandbox.errand(["replay", &run_id, "--policy", "strict", "--json"]).run().ok();
    assert_eq!(replay.json()["identical"], true, "how it was cut does not matter");
}

#[test]
fn a_secret_in_two_parts_is_masked() {
    let mut sandbox = sandbox();
    let value = "correct-horse-battery";
    sandbox.set_env("K", value);
    let script = format!("{CLIENT}\nk = os.environ['K']\nsay('a ' + k[:5])\nsay(k[5:] + ' z')\n");
    let agent = sandbox.agent(&TestAgent::python(&script).spec("secrets: [K]"));
    let run_id = start(&sandbox, &agent, &[]);
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    let events = events(&sandbox, &run_id);
    let text: String = events
        .iter()
        .filter(|event| event["type"] == "output.delta")
        .map(|event| event["data"]["text"].as_str().unwrap())
        .collect();
    assert!(text.starts_with("a ") && text.ends_with(" z"), "{text}");
    assert!(
        !text.contains(value) && !text.contains("correct") && !text.contains("battery"),
        "{text}"
    );
}
