//! Policies about what comes back: results of tools, answers of models, and replays.

use errand_testkit::{Reaction, Receiver, Sandbox};
use serde_json::{Value, json};

use crate::support::{self, events};

const SERVER: &str = include_str!("tools/server.py");
const CLIENT: &str = include_str!("tools/client.py");

/// Sends a request to its model, and prints status and body of the answer.
const CALLER: &str = r#"
import os, urllib.request, urllib.error
body = b'{"model": "gpt-4o", "stream": STREAM, "messages": [{"role": "user", "content": "Hi"}]}'
headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
body = body.replace(b"STREAM", os.environ.get("STREAM", "false").encode())
try:
    print(urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers)).read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"#;

/// Writes an agent with a tool server, whose rules are `policy`, that sends these requests.
pub(crate) fn tool_agent(sandbox: &Sandbox, policy: &str, requests: &[&str]) {
    sandbox.write("agent/server.py", SERVER);
    sandbox.write("agent/client.py", CLIENT);
    let command = json!(["python3", "client.py"].iter().chain(requests).collect::<Vec<_>>());
    let calls = sandbox.path("calls");
    sandbox.write(
        "agent/agent.yaml",
        format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: caller }}\nspec:\n  \
             command: {command}\n  mcp_servers:\n    - name: plain\n      command: [python3, \
             server.py]\n      env: {{ CALLS: \"{}\" }}\n  {policy}\n",
            calls.display()
        ),
    );
}

pub(crate) fn ran(sandbox: &Sandbox) -> (String, String) {
    let printed = sandbox.errand(["run", "agent"]).run().ok().stdout();
    let run_id = sandbox.errand(["ps", "-aq"]).run().ok().stdout();
    (printed, run_id.lines().next().unwrap().trim().to_owned())
}

pub(crate) fn made(sandbox: &Sandbox) -> usize {
    std::fs::read_to_string(sandbox.path("calls")).unwrap_or_default().lines().count()
}

#[test]
fn a_result_of_a_tool_is_withheld_and_a_replay_serves_what_the_agent_got() {
    let sandbox = support::sandbox();
    let rule = "{ name: echo, when: { result.content.text: '*secret*' }, reason: no secrets }";
    let policy = format!("policy: {{ tool_results: {{ deny: [{rule}] }} }}");
    let requests = ["plain_echo {\"a\": 1}", "plain_echo {\"a\": \"secret\"}"];
    tool_agent(&sandbox, &policy, &requests);
    let (printed, run_id) = ran(&sandbox);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("ok echo {\"a\": 1}"), "{printed}");
    assert!(
        lines[1].starts_with("error the call was made, and its result is withheld"),
        "{printed}"
    );
    assert!(lines[1].contains("no secrets"), "{printed}");
    assert_eq!(made(&sandbox), 2);
    let called = events(&sandbox, &run_id, "tool.called");
    assert_eq!((called.len(), &called[1]["success"]), (2, &json!(true)), "the effect happened");
    let decided = events(&sandbox, &run_id, "policy.decided");
    let after: Vec<&Value> = decided.iter().filter(|it| it["hook"] == "after_tool").collect();
    assert_eq!((after.len(), &after[1]["verdict"]), (2, &json!("deny")), "{decided:?}");
    let replayed = sandbox.errand(["replay", &run_id, "--policy", "strict"]).run().ok();
    drop(replayed);
    assert_eq!(made(&sandbox), 2, "a replay calls nothing");
    sandbox.write(
        "new.yaml",
        "apiVersion: errand.dev/v1\nkind: Policy\nmetadata: { name: new }\nspec: { tool_results: { \
         deny: [{ name: '*', when: { result.content.text: '*\"a\": 1*' } }] } }\n",
    );
    let tested = sandbox.errand(["policy", "test", "-f", "new.yaml", "--json", &run_id]).run().ok();
    let tested = tested.json();
    assert_eq!(tested["verdicts"]["deny"], 1, "{tested}");
    assert_eq!(tested["decisions"][0]["hook"], "after_tool", "{tested}");
}

#[test]
fn a_program_puts_another_result_of_a_tool_in_its_place() {
    let sandbox = support::sandbox();
    let program = r#"rego: |
    package errand
    default decision := "allow"
    decision := {"decision": "modify", "modified": {"content": [{"type": "text", "text": "changed"}]}} if {
      input.hook == "after_tool"
      input.call.arguments.a == 1
    }
    decision := {"decision": "modify", "modified": "changed"} if {
      input.hook == "after_tool"
      input.call.arguments.a == 2
    }"#;
    sandbox.write(
        "policy.yaml",
        format!(
            "apiVersion: errand.dev/v1\nkind: Policy\nmetadata: {{ name: masks }}\nspec:\n  \
             hooks: [after_tool]\n  {program}\n"
        ),
    );
    drop(sandbox.errand(["apply", "-f", "policy.yaml"]).run().ok());
    let requests = ["plain_echo {\"a\": 1}", "plain_echo {\"a\": 2}", "plain_echo {\"a\": 3}"];
    tool_agent(&sandbox, "policies: [masks]", &requests);
    let (printed, run_id) = ran(&sandbox);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "ok changed");
    assert!(lines[1].contains("no result of a tool"), "{printed}");
    assert!(lines[2].starts_with("ok echo {\"a\": 3}"), "{printed}");
    let decided = events(&sandbox, &run_id, "policy.decided");
    let hooks: Vec<_> = decided.iter().map(|it| it["hook"].as_str().unwrap()).collect();
    assert_eq!(hooks, ["after_tool"; 3], "it is asked at its moments only");
}

fn completion(text: &str) -> Reaction {
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 });
    let message = json!({ "role": "assistant", "content": text });
    let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
    let body = json!({ "id": "c1", "model": "gpt-4o", "choices": choices, "usage": usage });
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Reaction::Answer(200, headers, body.to_string())
}

fn streamed(pieces: &[&str]) -> Reaction {
    let chunk = |delta: Value, end: Value| {
        let choices = json!([{ "index": 0, "delta": delta, "finish_reason": end }]);
        format!("data: {}\n\n", json!({ "id": "c1", "model": "gpt-4o", "choices": choices }))
    };
    let mut body: String =
        pieces.iter().map(|text| chunk(json!({ "content": text }), Value::Null)).collect();
    body += &chunk(json!({}), json!("stop"));
    body += "data: [DONE]\n\n";
    let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
    Reaction::Answer(200, headers, body)
}

#[test]
fn an_answer_of_a_model_is_withheld_whole_or_handed_on() {
    let mut sandbox = support::sandbox();
    sandbox.set_env("OPENAI_API_KEY", "sk-provider-key-0123456789");
    let provider = Receiver::start();
    sandbox.write("agent/caller.py", CALLER);
    let rule = "{ name: gpt-4o, when: { result.text: '*bomb*' }, reason: not this }";
    let write = |stream: bool| {
        let url = provider.url("/v1");
        sandbox.write(
            "agent/agent.yaml",
            format!(
                "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: caller }}\nspec:\n  \
                 command: [python3, caller.py]\n  env: {{ STREAM: '{stream}' }}\n  providers: {{ \
                 openai: {{ key: OPENAI_API_KEY, base_url: \"{url}\" }} }}\n  policy: {{ \
                 model_answers: {{ deny: [{rule}] }} }}\n"
            ),
        );
    };
    for stream in [false, true] {
        write(stream);
        let answers = |text: &[&str]| {
            if stream { streamed(text) } else { completion(&text.concat()) }
        };
        provider.react([answers(&["a ", "flower"])]);
        let (printed, _) = ran(&sandbox);
        assert!(printed.contains("flower"), "{printed}");
        provider.react([answers(&["a bo", "mb"])]);
        let (printed, run_id) = ran(&sandbox);
        assert!(printed.starts_with("403 "), "{printed}");
        assert!(printed.contains("not this") && !printed.contains("bomb"), "{printed}");
        let called = events(&sandbox, &run_id, "model.called");
        assert_eq!(called.len(), 1, "its tokens are paid: {called:?}");
        let replayed = sandbox.errand(["replay", &run_id, "--policy", "strict"]).run().ok();
        drop(replayed);
    }
}

#[test]
fn a_replay_that_a_policy_denies_does_not_come_to_be() {
    let sandbox = support::sandbox();
    let agent = errand_testkit::TestAgent::shell("echo done");
    let denies = |kinds: &str| {
        sandbox.agent(&agent.clone().spec(&format!("policy: {{ replays: {{ deny: [{kinds}] }} }}")))
    };
    let count =
        || sandbox.errand(["ps", "-a", "--json"]).run().ok().json().as_array().unwrap().len();
    for (denied, allowed) in [("strict", "live"), ("live", "strict")] {
        drop(sandbox.errand(["run"]).arg(denies(denied)).run().ok());
        let run_id = sandbox.errand(["ps", "-aq"]).run().ok().stdout();
        let run_id = run_id.lines().next().unwrap().trim().to_owned();
        let before = count();
        let refused = sandbox.errand(["replay", &run_id, "--policy", denied]).run();
        let refused = refused.refuses(125, "error[policy_denied]");
        assert!(refused.stderr().contains("\"".to_owned().as_str()), "{}", refused.stderr());
        assert_eq!(count(), before, "nothing was created");
        drop(sandbox.errand(["replay", &run_id, "--policy", allowed]).run().ok());
    }
}
