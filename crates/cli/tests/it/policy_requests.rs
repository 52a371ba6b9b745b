//! Policies about requests to models and the answers to them.

use errand_testkit::{Receiver, Sandbox};
use serde_json::{Value, json};

use crate::models::{
    KEY, agent, answer, chat, completion, events, of_type, sandbox, stream, streamed,
};
use crate::support;

/// Puts a policy with a program into the catalog.
fn apply(sandbox: &Sandbox, spec: &str, program: &str) {
    let lines: String = program.lines().map(|line| format!("    {line}\n")).collect();
    sandbox.write(
        "policy.yaml",
        format!(
            "apiVersion: errand.dev/v1\nkind: Policy\nmetadata: {{ name: guard }}\nspec:\n{spec}  \
             rego: |\n{lines}"
        ),
    );
    drop(sandbox.errand(["apply", "-f", "policy.yaml"]).run().ok());
}

fn ran(sandbox: &Sandbox, path: &std::path::Path) -> (String, Vec<Value>) {
    let ran = sandbox.errand(["run"]).arg(path).env("OPENAI_API_KEY", KEY).run().ok();
    let id = only_run(sandbox);
    (ran.stdout(), events(sandbox, &id))
}

fn only_run(sandbox: &Sandbox) -> String {
    sandbox.errand(["ps", "-aq"]).run().ok().stdout().lines().next().unwrap().trim().to_owned()
}

const PROGRAM: &str = r#"package errand
default decision := "allow"
text := input.call.request.messages[0].content
change(members) := {"decision": "modify", "modified": object.union(input.call.request, members)}
decision := change({"max_tokens": 7}) if { input.hook == "before_model"; text == "short" }
decision := change({"model": "gpt-5"}) if { input.hook == "before_model"; text == "model" }
decision := change({"stream": true}) if { input.hook == "before_model"; text == "stream" }
decision := {"decision": "modify", "modified": ["x"]} if { input.hook == "before_model"; text == "list" }
decision := {"decision": "deny", "reason": "no bombs"} if { input.hook == "before_model"; contains(text, "bomb") }
"#;

#[test]
fn a_changed_request_is_sent_recorded_and_served_again() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion()), answer(completion())]);
    apply(&sandbox, "", PROGRAM);
    let texts = ["plain", "short", "model", "stream", "list", "a bomb"];
    let bodies = texts.map(chat);
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let path = agent(&sandbox, &provider, "  policies: [guard]\n", &bodies);
    let (printed, events) = ran(&sandbox, &path);
    let lines: Vec<&str> = printed.lines().collect();
    for (line, expect) in lines.iter().zip([
        "200 ",
        "200 ",
        "names another model",
        "has another `stream`",
        "is no JSON object",
        "no bombs",
    ]) {
        assert!(line.contains(expect), "{expect} in {line}");
        assert!(line.starts_with("200 ") || line.starts_with("403 false "), "{line}");
    }
    let received = provider.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].body, bodies[0].as_bytes(), "no other byte changes");
    let sent: Value = serde_json::from_slice(&received[1].body).unwrap();
    assert_eq!(sent["max_tokens"], 7);
    let requested = of_type(&events, "model.requested");
    let recorded: Value = serde_json::from_str(requested[1]["body"].as_str().unwrap()).unwrap();
    assert_eq!((&recorded, &requested[1]["changed"]), (&sent, &json!(true)));
    assert_eq!(requested[0]["changed"], Value::Null);
    let decided = of_type(&events, "policy.decided");
    let of_models: Vec<&&Value> =
        decided.iter().filter(|it| it["hook"] == "before_model").collect();
    let verdicts: Vec<String> = of_models
        .iter()
        .map(|it| {
            format!("{} {}", it["verdict"].as_str().unwrap(), it["enforced"].as_str().unwrap())
        })
        .collect();
    let refused = "modify deny";
    assert_eq!(verdicts, ["allow allow", "modify modify", refused, refused, refused, "deny deny"]);
    assert_eq!(of_models[0]["call"]["json"]["request"], Value::Null, "the call records it");
    let change = &of_models[1]["call"]["json"]["change"];
    assert_eq!(change["path"], "/max_tokens");
    assert!(change["diff"].as_str().unwrap().contains('7'), "{change}");
    assert_eq!(of_models[5]["call"]["json"]["request"]["messages"][0]["content"], "a bomb");
    let replayed = sandbox.errand(["replay", &only_run(&sandbox), "--policy", "strict"]);
    drop(replayed.env("OPENAI_API_KEY", KEY).run());
    assert_eq!(provider.received().len(), 2, "a replay calls no provider");
}

#[test]
fn the_next_attempt_is_served_the_answer_to_a_changed_request() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion())]);
    apply(&sandbox, "", PROGRAM);
    let more = "  policies: [guard]\n  env: { FAIL: \"1\" }\n  retry_policy: { max_retries: 1, \
                initial_delay: 0s }\n";
    let path = agent(&sandbox, &provider, more, &[&chat("short")]);
    let (_, events) = ran(&sandbox, &path);
    assert_eq!(provider.received().len(), 1, "the next attempt is served from the record");
    let decided = of_type(&events, "policy.decided");
    let asked = decided.iter().filter(|it| it["hook"] == "before_model").count();
    assert_eq!(asked, 1, "a recorded call is not asked about: {decided:?}");
}

#[test]
fn a_strict_replay_serves_the_answer_to_a_changed_request() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion())]);
    apply(&sandbox, "", PROGRAM);
    let path = agent(&sandbox, &provider, "  policies: [guard]\n", &[&chat("short")]);
    drop(ran(&sandbox, &path));
    let replayed = sandbox.errand(["replay", &only_run(&sandbox), "--policy", "strict"]);
    let told = replayed.env("OPENAI_API_KEY", KEY).run().ok().stdout();
    assert!(told.contains("is identical with run"), "{told}");
    assert_eq!(provider.received().len(), 1);
}

#[test]
fn rules_have_conditions_on_requests() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion())]);
    let rule = "{ name: '*', when: { request.messages.content: '*bomb*' }, reason: not this }";
    let policy = format!("  policy: {{ models: {{ deny: [{rule}] }} }}\n");
    let path = agent(&sandbox, &provider, &policy, &[&chat("a flower"), &chat("a bomb")]);
    let (printed, _) = ran(&sandbox, &path);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("200 "), "{printed}");
    assert!(lines[1].starts_with("403 ") && lines[1].contains("not this"), "{printed}");
    assert_eq!(provider.received().len(), 1);
}

#[test]
fn an_answer_is_changed_as_a_whole_and_a_stream_is_not() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let program = r#"package errand
default decision := "allow"
changed := [object.union(choice, {"message": {"role": "assistant", "content": "changed"}}) | some choice in input.call.response.choices]
decision := {"decision": "modify", "modified": object.union(input.call.response, {"choices": changed})} if {
    input.call.response.choices
}
decision := {"decision": "modify", "modified": {"x": 1}} if { not input.call.response.choices }
"#;
    apply(&sandbox, "  hooks: [after_model]\n", program);
    provider.react([answer(completion()), streamed(stream(true))]);
    let streams = chat("two").replacen('{', "{\"stream\": true, ", 1);
    let path = agent(&sandbox, &provider, "  policies: [guard]\n", &[&chat("one"), &streams]);
    let (printed, events) = ran(&sandbox, &path);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("200 ") && lines[0].contains("\"changed\""), "{printed}");
    assert!(
        lines[1].starts_with("403 ") && lines[1].contains("an answer that streams"),
        "{printed}"
    );
    let called = of_type(&events, "model.called");
    assert_eq!((called.len(), &called[0]["input_tokens"]), (2, &json!(1000)), "both are paid");
    let decided = of_type(&events, "policy.decided");
    let enforced: Vec<&Value> = decided.iter().map(|it| &it["enforced"]).collect();
    assert_eq!(enforced, [&json!("modify"), &json!("deny")]);
    let diff = decided[0]["call"]["json"]["change"]["diff"].as_str().unwrap();
    assert!(diff.contains("changed"), "{diff}");
    let replayed = sandbox.errand(["replay", &only_run(&sandbox), "--policy", "strict"]);
    let told = replayed.env("OPENAI_API_KEY", KEY).run().ok().stdout();
    assert!(told.contains("is identical with run"), "{told}");
}

#[test]
fn a_model_call_shows_its_request_to_the_person_who_is_asked_and_parks_its_run() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion())]);
    let policy = "  policy: { park_after: 300ms, models: { ask: [gpt-4o] } }\n";
    let long = format!("pay {} now", "much ".repeat(8_000));
    let path = agent(&sandbox, &provider, policy, &[&chat(&long), &chat("more")]);
    let id = sandbox.errand(["run", "-d"]).arg(path).env("OPENAI_API_KEY", KEY).run().ok();
    let id = id.stdout_line();
    for (given, text) in [("approve", "pay much much"), ("reject", "more")] {
        support::wait_for_record(&sandbox, &id, "the run is parked", |record| {
            record["status"] == "paused"
                && record["attempts"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|attempt| attempt["status"] == "stopped")
        });
        let shown = sandbox.errand(["approvals", "show", &id]).run().ok().stdout();
        for expect in ["action      before_model", "target      gpt-4o", "\"messages\"", text] {
            assert!(shown.contains(expect), "{expect} in {shown}");
        }
        if given == "approve" {
            assert!(shown.contains("much  now"), "all of it is shown");
        }
        drop(sandbox.errand([given, &id]).env("OPENAI_API_KEY", KEY).run().ok());
    }
    assert_eq!(sandbox.errand(["wait", &id]).run().ok().stdout_line(), "0");
    let log = sandbox.errand(["logs", &id]).run().ok().stdout();
    assert!(log.contains("200 {"), "{log}");
    assert!(log.contains("rejected it"), "{log}");
    assert_eq!(provider.received().len(), 1);
}
