//! Strict replays whose model or tool calls differ from the record, and forks by number of a call.

use std::path::PathBuf;

use errand_testkit::{Receiver, Sandbox};
use serde_json::{Value, json};

use crate::models::{KEY, agent, answer, chat, completion, events, sandbox};
use crate::support;

const SERVER: &str = include_str!("tools/server.py");
const CLIENT: &str = include_str!("tools/client.py");

/// Runs an agent, and returns the id of its run.
fn ran(sandbox: &Sandbox, path: &PathBuf) -> String {
    drop(sandbox.errand(["run"]).arg(path).env("OPENAI_API_KEY", KEY).run().ok());
    sandbox.errand(["ps", "-aq"]).run().ok().stdout().lines().next().unwrap().trim().to_owned()
}

/// Replays a run strictly with a changed agent, and returns the printed output and the id of the
/// replay.
fn replayed(sandbox: &Sandbox, run_id: &str, path: &PathBuf) -> (String, String) {
    let words = ["replay", run_id, "--policy", "strict", "--agent"];
    let told = sandbox.errand(words).arg(path).env("OPENAI_API_KEY", KEY).run().exits(1).stdout();
    let runs = sandbox.errand(["ps", "-aq"]).run().ok().stdout();
    let replay = runs.lines().map(str::trim).find(|run| *run != run_id).unwrap().to_owned();
    (told, replay)
}

fn diverged(sandbox: &Sandbox, replay: &str) -> Value {
    let events = events(sandbox, replay);
    let found: Vec<&Value> = events.iter().filter(|it| it["type"] == "replay.diverged").collect();
    assert_eq!(found.len(), 1, "{events:?}");
    found[0]["data"].clone()
}

#[test]
fn the_first_model_call_that_differs_is_shown_as_a_diff_of_both_requests() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion()), answer(completion()), answer(completion())]);
    let secret = format!("use {KEY}\\nand write");
    let turn = |last: &str| {
        let asked = json!({"role": "user", "content": last.replace("\\n", "\n")});
        let system = json!({"role": "system", "content": "Be kind."});
        json!({"model": "gpt-4o", "user": last, "messages": [system, asked]}).to_string()
    };
    let (first, second, third) = (chat("one"), turn(&secret), chat("three"));
    let folder = agent(&sandbox, &provider, "", &[&first, &second, &third]);
    let run_id = ran(&sandbox, &folder);
    let changed = turn(&secret.replace("write", "sing"));
    let folder = agent(&sandbox, &provider, "", &[&first, &changed, &third]);
    let (told, replay) = replayed(&sandbox, &run_id, &folder);
    let members = "--- recorded  POST /v1/chat/completions\n+++ replayed  POST /v1/chat/completions\n\
                   @@ /messages/1/content @@\n  use [redacted:OPENAI_API_KEY]\n- and write\n+ and sing\n";
    assert!(told.contains(members), "{told}");
    assert!(!told.contains("@@ /user @@"), "it is no part of the digest: {told}");
    let event = diverged(&sandbox, &replay);
    assert_eq!(
        (&event["what"], &event["path"]),
        (&json!("model request"), &json!("/messages/1/content"))
    );
    let record = support::record(&sandbox, &replay);
    let message = record["last_error"]["message"].as_str().unwrap();
    let key = event["step"].as_str().unwrap();
    assert!(
        message.ends_with(&format!("model request {key}, first at /messages/1/content")),
        "{message}"
    );
    for verb in ["trace", "calls"] {
        let shown = sandbox.errand([verb, &replay]).run().ok().stdout();
        assert!(shown.contains(members), "{verb}: {shown}");
        let json = sandbox.errand([verb, &replay, "--json"]).run().ok().json();
        assert_eq!(json["divergence"]["path"], "/messages/1/content", "{verb}");
    }
    assert_eq!(provider.received().len(), 3, "a replay calls no provider");
}

/// Writes an agent with a tool server that sends these requests.
fn tool_agent(sandbox: &Sandbox, policy: &str, requests: &[&str]) -> PathBuf {
    sandbox.write("agent/server.py", SERVER);
    sandbox.write("agent/client.py", CLIENT);
    let command = json!(["python3", "client.py"].iter().chain(requests).collect::<Vec<_>>());
    sandbox.write(
        "agent/agent.yaml",
        format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: caller }}\nspec:\n  \
             command: {command}\n  mcp_servers:\n    - name: plain\n      command: [python3, \
             server.py]\n      env: {{ CALLS: \"{}\" }}\n      timeout: 300ms\n{policy}",
            sandbox.path("calls").display()
        ),
    );
    sandbox.path("agent")
}

#[test]
fn the_first_tool_call_that_differs_is_shown_as_a_diff_of_both_arguments() {
    let sandbox = support::sandbox();
    let long = "x".repeat(2_000);
    let call = |n: u32| format!("plain_write {{\"text\": \"{long}\", \"n\": {n}}}");
    let folder = tool_agent(&sandbox, "", &["plain_echo {\"a\": 1}", &call(1)]);
    let run_id = ran(&sandbox, &folder);
    let folder = tool_agent(&sandbox, "", &["plain_echo {\"a\": 1}", &call(2)]);
    let (told, replay) = replayed(&sandbox, &run_id, &folder);
    assert!(told.contains("\n@@ /arguments/n @@\n- 1\n+ 2\n"), "{told}");
    let event = diverged(&sandbox, &replay);
    assert_eq!((&event["what"], &event["path"]), (&json!("tool call"), &json!("/arguments/n")));
    let shown = sandbox.errand(["logs", &replay]).run().ok().stdout();
    assert!(!shown.contains("ok write"), "{shown}");
}

#[test]
fn a_strict_replay_serves_tool_calls_that_a_person_allowed_or_refused() {
    let sandbox = support::sandbox();
    let policy = "  policy: { tools: { ask: [write] } }\n";
    let requests = ["plain_echo", "plain_write {\"x\": 1}", "plain_write {\"x\": 2}"];
    let folder = tool_agent(&sandbox, policy, &requests);
    let id = sandbox.errand(["run", "-d"]).arg(folder).run().ok().stdout_line();
    for answer in ["approve", "reject"] {
        support::wait_for_record(&sandbox, &id, "the run is parked", |record| {
            let attempts = record["attempts"].as_array().unwrap();
            record["status"] == "paused"
                && attempts.iter().all(|attempt| attempt["status"] == "stopped")
        });
        drop(sandbox.errand([answer, &id]).run().ok());
    }
    assert_eq!(sandbox.errand(["wait", &id]).run().ok().stdout_line(), "0");
    let made = std::fs::read_to_string(sandbox.path("calls")).unwrap();
    let told = sandbox.errand(["replay", &id, "--policy", "strict"]).run().ok().stdout();
    assert!(told.contains("is identical with run"), "{told}");
    assert_eq!(std::fs::read_to_string(sandbox.path("calls")).unwrap(), made);
}

#[test]
fn a_fork_begins_at_a_call_by_its_number() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion()), answer(completion()), answer(completion())]);
    let folder = agent(&sandbox, &provider, "", &[&chat("one"), &chat("two")]);
    let run_id = ran(&sandbox, &folder);
    let forked = sandbox.errand(["fork", &run_id, "--from-step", "2"]);
    drop(forked.env("OPENAI_API_KEY", KEY).run().ok());
    let received = provider.received();
    assert_eq!(received.len(), 3, "the first call is served from the record");
    assert_eq!(received[2].body, chat("two").as_bytes());
    for number in ["3", "t1"] {
        let refused = sandbox.errand(["fork", &run_id, "--from-step", number]);
        let refused = refused.env("OPENAI_API_KEY", KEY).run();
        assert!(refused.stderr().contains(&format!("{number:?}")), "{}", refused.stderr());
    }
}
