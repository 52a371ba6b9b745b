//! Model routes: calls that go to another model or service than the agent asks for, with fallbacks.

use std::path::PathBuf;

use errand_testkit::{Reaction, Receiver, Sandbox};
use serde_json::{Value, json};

use crate::models::{
    KEY, agent, answer, chat, completion, events, of_type, sandbox, stream, streamed,
};
use crate::support;

/// Key of the second service.
const OTHER_KEY: &str = "sk-other-key-9876543210";

/// Writes a route with these entries to the catalog.
fn apply(sandbox: &Sandbox, name: &str, entries: &str) {
    sandbox.write(
        "route.yaml",
        format!(
            "apiVersion: errand.dev/v1\nkind: ModelRoute\nmetadata: {{ name: {name} }}\nspec:\n  \
             routes:\n{entries}"
        ),
    );
    drop(sandbox.errand(["apply", "-f", "route.yaml"]).run().ok());
}

/// An entry from `gpt-4o` to `gpt-4o-mini`, and then to a model of another service.
fn to_other(other: &Receiver, more: &str) -> String {
    format!(
        "    - match: gpt-4*\n      to: {{ provider: openai, model: gpt-4o-mini }}\n      fallback:\n        \
         - {{ provider: openai, model: local-1, base_url: \"{}\", key: OTHER_KEY }}\n{more}",
        other.url("/v1")
    )
}

fn run(sandbox: &Sandbox, agent: PathBuf, options: &[&str]) -> (String, String) {
    let ran = sandbox.errand(["run"]).args(options).arg(agent);
    let ran = ran.env("OPENAI_API_KEY", KEY).env("OTHER_KEY", OTHER_KEY).run().ok();
    let id = sandbox.errand(["ps", "-aq"]).run().ok().stdout();
    (id.lines().next().unwrap().to_owned(), ran.stdout())
}

fn refused(status: u16) -> Reaction {
    Reaction::Answer(status, Vec::new(), "{\"error\": {\"message\": \"busy\"}}".to_owned())
}

fn asking(model: &str, text: &str) -> String {
    chat(text).replace("gpt-4o", model)
}

#[test]
fn a_call_falls_back_to_the_next_model_and_both_tries_are_recorded() {
    let (sandbox, provider, other) = (sandbox(), Receiver::start(), Receiver::start());
    provider.react([refused(429)]);
    other.react([answer(completion())]);
    apply(&sandbox, "cheap", &to_other(&other, ""));
    let agent = agent(&sandbox, &provider, "  model_route: cheap\n", &[&chat("hi")]);
    let (id, printed) = run(&sandbox, agent, &[]);
    assert_eq!(printed, format!("200 {}\n", completion()));
    assert_eq!(provider.received()[0].body, asking("gpt-4o-mini", "hi").as_bytes());
    let received = other.received();
    assert_eq!(received[0].body, asking("local-1", "hi").as_bytes(), "nothing else changes");
    assert_eq!(received[0].header("authorization"), format!("Bearer {OTHER_KEY}"));
    let events = events(&sandbox, &id);
    assert_eq!(of_type(&events, "step.started").len(), 1, "one step with its tries");
    let failed = of_type(&events, "model.try_failed");
    assert_eq!(failed.len(), 1);
    for (name, expect) in [
        ("provider", json!("openai")),
        ("model", json!("gpt-4o-mini")),
        ("asked_model", json!("gpt-4o")),
        ("route", json!("cheap")),
        ("try", json!(1)),
        ("cause", json!("rate_limit")),
        ("status", json!(429)),
    ] {
        assert_eq!(failed[0][name], expect, "{name}: {}", failed[0]);
    }
    let called = of_type(&events, "model.called");
    assert_eq!(called.len(), 1, "a refused try costs nothing");
    for (name, expect) in [
        ("model", json!("local-1")),
        ("asked_model", json!("gpt-4o")),
        ("try", json!(2)),
        ("success", json!(true)),
    ] {
        assert_eq!(called[0][name], expect, "{name}: {}", called[0]);
    }
    assert_eq!(called[0]["cost_micro_usd"], Value::Null, "local-1 has no price");
    let journal = serde_json::to_string(&events).unwrap();
    assert!(!journal.contains(OTHER_KEY), "the key is in the journal");
    let shown = sandbox.errand(["calls", &id]).run().ok().stdout();
    assert!(shown.contains("openai/gpt-4o-mini rate_limit  by openai/local-1"), "{shown}");
    let bom = sandbox.errand(["bom", &id]).run().ok().stdout();
    assert!(bom.contains("errand:model_route:version"), "{bom}");
}

#[test]
fn a_stream_falls_back_before_its_first_byte_and_models_without_an_entry_stay() {
    let (sandbox, provider, other) = (sandbox(), Receiver::start(), Receiver::start());
    provider.react([refused(503), answer(completion())]);
    other.react([streamed(stream(true))]);
    apply(&sandbox, "cheap", &to_other(&other, ""));
    let streaming = json!({"model": "gpt-4o", "stream": true, "messages": []}).to_string();
    let plain = asking("o9", "hi");
    let agent = agent(&sandbox, &provider, "", &[&streaming, &plain]);
    let (id, printed) = run(&sandbox, agent, &["--model-route", "cheap"]);
    assert_eq!(printed, format!("200 {}\n200 {}\n", stream(false), completion()));
    assert_eq!(provider.received()[1].body, plain.as_bytes(), "byte for byte");
    let events = events(&sandbox, &id);
    let created = of_type(&events, "run.created");
    assert_eq!(created[0]["model_route"], "cheap");
    assert_eq!(created[0]["catalog"][0]["kind"], "ModelRoute");
    let called = of_type(&events, "model.called");
    assert_eq!(called[1]["route"], Value::Null);
    assert_eq!(called[1]["model"], "o9");
}

#[test]
fn only_the_causes_of_an_entry_lead_on_and_the_last_answer_is_the_clients() {
    let (sandbox, provider, other) = (sandbox(), Receiver::start(), Receiver::start());
    provider.react([refused(429), refused(500), refused(400)]);
    other.react([refused(502)]);
    let entry = to_other(&other, "      fallback_on: [server_error]\n");
    apply(&sandbox, "cheap", &entry);
    let bodies = [chat("one"), chat("two"), chat("three")];
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let agent = agent(&sandbox, &provider, "  model_route: cheap\n", &bodies);
    let (id, printed) = run(&sandbox, agent, &[]);
    let statuses: Vec<&str> = printed.lines().map(|line| &line[..3]).collect();
    assert_eq!(statuses, ["429", "502", "400"], "{printed}");
    let events = events(&sandbox, &id);
    assert_eq!(of_type(&events, "model.try_failed").len(), 1);
    assert_eq!(of_type(&events, "step.failed").len(), 3);
    assert_eq!(of_type(&events, "model.called").len(), 0);
}

#[test]
fn a_try_without_an_answer_in_time_is_charged_as_reserved() {
    let (sandbox, provider, other) = (sandbox(), Receiver::start(), Receiver::start());
    provider.react([Reaction::Silence]);
    other.react([answer(completion())]);
    apply(&sandbox, "cheap", &to_other(&other, "      timeout: 300ms\n"));
    let bounded = json!({"model": "gpt-4o", "max_tokens": 64, "messages": []}).to_string();
    let agent = agent(&sandbox, &provider, "  model_route: cheap\n", &[&bounded]);
    let (id, printed) = run(&sandbox, agent, &[]);
    assert!(printed.starts_with("200 "), "{printed}");
    let events = events(&sandbox, &id);
    let called = of_type(&events, "model.called");
    assert_eq!(called.len(), 2);
    assert_eq!((&called[0]["usage"], &called[0]["success"]), (&json!("reserved"), &json!(false)));
    assert_eq!(called[0]["model"], "gpt-4o-mini");
    assert_eq!(called[0]["output_tokens"], 64);
    assert_eq!(of_type(&events, "model.try_failed")[0]["cause"], "timeout");
}

#[test]
fn a_fallback_that_the_budget_does_not_allow_is_not_called() {
    let (sandbox, provider, other) = (sandbox(), Receiver::start(), Receiver::start());
    provider.react([refused(429)]);
    apply(&sandbox, "cheap", &to_other(&other, ""));
    let more = "  model_route: cheap\n  budgets: { cost_usd_per_run: 1 }\n";
    let agent = agent(&sandbox, &provider, more, &[&chat("hi")]);
    let (id, printed) = run(&sandbox, agent, &[]);
    assert!(printed.starts_with("429 "), "the answer of the last provider: {printed}");
    assert!(other.received().is_empty());
    let events = events(&sandbox, &id);
    assert_eq!(of_type(&events, "model.try_failed").len(), 1);
    let failed = of_type(&events, "step.failed");
    let message = failed[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("local-1 was not called then"), "{message}");
}

#[test]
fn a_call_whose_helper_is_killed_between_its_tries_is_made_again() {
    let (sandbox, provider, other) = (sandbox(), Receiver::start(), Receiver::start());
    provider.react([refused(500), answer(completion())]);
    other.react([Reaction::Silence]);
    apply(&sandbox, "cheap", &to_other(&other, ""));
    let more = "  model_route: cheap\n  retry_policy: { max_retries: 1, initial_delay: 0s }\n";
    let agent = agent(&sandbox, &provider, more, &[&chat("hi")]);
    let keys = [("OPENAI_API_KEY", KEY), ("OTHER_KEY", OTHER_KEY)];
    let with_keys = |words: &[&str]| {
        keys.iter().fold(sandbox.errand(words), |command, (name, key)| command.env(*name, *key))
    };
    let id = with_keys(&["run", "-d"]).arg(agent).run().ok().stdout_line();
    drop(other.wait_for(1));
    support::kill(&support::record(&sandbox, &id)["pid"]);
    assert_eq!(with_keys(&["wait", &id]).run().ok().stdout_line(), "0");
    let events = events(&sandbox, &id);
    assert_eq!(of_type(&events, "model.try_failed").len(), 1, "the failed try is kept");
    let begun = of_type(&events, "step.started");
    assert_eq!(begun[0]["key"], begun[1]["key"]);
    let called = of_type(&events, "model.called");
    assert_eq!(called.len(), 2);
    assert_eq!((&called[0]["model"], &called[0]["usage"]), (&json!("local-1"), &json!("reserved")));
    assert_eq!((&called[1]["model"], &called[1]["try"]), (&json!("gpt-4o-mini"), &json!(1)));
    let reserved = called[0]["input_tokens"].as_u64().unwrap();
    assert_eq!(support::record(&sandbox, &id)["usage"]["input_tokens"], 1000 + reserved);
}

#[test]
fn a_strict_replay_serves_by_the_request_of_the_agent_whatever_the_route_says_now() {
    let (sandbox, provider, other) = (sandbox(), Receiver::start(), Receiver::start());
    provider.react([refused(429)]);
    other.react([answer(completion())]);
    apply(&sandbox, "cheap", &to_other(&other, ""));
    let agent = agent(&sandbox, &provider, "  model_route: cheap\n", &[&chat("hi")]);
    let (id, _) = run(&sandbox, agent, &[]);
    apply(&sandbox, "cheap", "    - { match: \"*\", to: { provider: openai, model: o9 } }\n");
    let replayed = sandbox.errand(["replay", &id, "--policy", "strict"]);
    let replayed = replayed.env("OPENAI_API_KEY", KEY).env("OTHER_KEY", OTHER_KEY).run().ok();
    assert!(replayed.stdout().contains("is identical with"), "{}", replayed.stdout());
    assert_eq!((provider.received().len(), other.received().len()), (1, 1));
}

#[test]
fn a_route_that_would_need_a_translation_or_does_not_exist_is_refused_before_there_is_a_run() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    apply(&sandbox, "far", "    - { match: gpt-*, to: { provider: anthropic } }\n");
    let agent = agent(&sandbox, &provider, "", &[&chat("hi")]);
    for (route, code) in [("far", "model_route_mismatch"), ("none", "dependency_missing")] {
        let ran = sandbox.errand(["run", "--model-route", route]).arg(&agent);
        let ran = ran.env("OPENAI_API_KEY", KEY).run();
        assert!(ran.stderr().contains(code), "{}", ran.stderr());
    }
    assert_eq!(sandbox.errand(["ps", "-aq"]).run().ok().stdout(), "");
    sandbox.write(
        "mixed.yaml",
        "apiVersion: errand.dev/v1\nkind: ModelRoute\nmetadata: { name: mixed }\nspec:\n  routes:\n    \
         - match: gpt-*\n      to: { provider: openai, base_url: \"http://h/v1\" }\n      fallback: [{ \
         provider: anthropic }]\n      timeout: 0s\n",
    );
    let refused = sandbox.errand(["apply", "-f", "mixed.yaml"]).run();
    for text in [
        "anthropic speaks another wire format than openai",
        "an address of its own needs a key of its own",
    ] {
        assert!(refused.stderr().contains(text), "{text:?} is missing in {}", refused.stderr());
    }
}

#[test]
fn a_fork_with_a_route_makes_only_its_own_calls_anew_with_the_other_model() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion()), answer(completion()), answer(completion())]);
    let agent = agent(&sandbox, &provider, "", &[&chat("one"), &chat("two")]);
    let (id, _) = run(&sandbox, agent, &[]);
    let keys = events(&sandbox, &id);
    let second = of_type(&keys, "step.started")[1]["key"].as_str().unwrap().to_owned();
    apply(&sandbox, "other", "    - { match: gpt-*, to: { provider: openai, model: o9 } }\n");
    let forked =
        sandbox.errand(["fork", &id, "--from-step", &second, "--model-route", "other", "-d"]);
    let fork = forked.env("OPENAI_API_KEY", KEY).run().ok().stdout_line();
    assert_eq!(sandbox.errand(["wait", &fork]).run().ok().stdout_line(), "0");
    let received = provider.received();
    assert_eq!(received.len(), 3, "the first call is served from the record");
    assert_eq!(received[2].body, asking("o9", "two").as_bytes());
    let shown = sandbox.errand(["trace", &id, &fork]).run().ok().stdout();
    let models = shown.lines().find(|line| line.starts_with("models")).unwrap();
    let words: Vec<&str> = models.split_whitespace().collect();
    assert_eq!(words, ["models", "openai/gpt-4o", "openai/o9"]);
    let both = sandbox.errand(["trace", &id, &fork, "--json"]).run().ok().json();
    assert_eq!(both["traces"][1]["run_id"], fork.as_str());
}

#[test]
fn ignored_members_do_not_keep_a_recorded_answer_from_the_next_attempt() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion()), answer(completion())]);
    let more = "  env: { FAIL: \"1\" }\n  retry_policy: { max_retries: 1, initial_delay: 0s }\n  replay: { \
                ignore: [/messages/*/session] }\n";
    let folder = agent(&sandbox, &provider, more, &[&chat("hi")]);
    let client = std::fs::read_to_string(folder.join("client.py")).unwrap();
    let asks = "    body = call.get(\"body\")\n";
    let changed = "    body = call.get(\"body\").replace('\"role\"', '\"session\": ' + \
                   os.environ[\"ERRAND_ATTEMPT\"] + ', \"role\"')\n";
    assert!(client.contains(asks));
    std::fs::write(folder.join("client.py"), client.replace(asks, changed)).unwrap();
    let (_, printed) = run(&sandbox, folder, &[]);
    assert_eq!(printed.matches("200 ").count(), 2, "{printed}");
    let received = provider.received();
    assert_eq!(received.len(), 1, "the second attempt is served from the record");
    let body = String::from_utf8(received[0].body.clone()).unwrap();
    assert!(body.contains("\"session\": 1"), "the member is passed on: {body}");
}
