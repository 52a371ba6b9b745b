//! Models that are told about the budget of their run (`on_warn: steer`).

use std::path::Path;

use errand_testkit::{Reaction, Receiver, Sandbox};
use serde_json::{Value, json};

use crate::models::{KEY, agent, answer, chat, completion, events, sandbox, stream, streamed};
use crate::support;

const STEER: &str = "  budgets: { tokens_per_run: 1200, on_exceed: deny_call, on_warn: steer }\n";

fn ran(sandbox: &Sandbox, path: &Path) -> String {
    drop(sandbox.errand(["run"]).arg(path).env("OPENAI_API_KEY", KEY).run().ok());
    sandbox.errand(["ps", "-aq"]).run().ok().stdout().lines().next().unwrap().trim().to_owned()
}

fn of_type(events: &[Value], kind: &str) -> Vec<Value> {
    let found = events.iter().filter(|event| event["type"] == kind);
    found.map(|event| event["data"].clone()).collect()
}

/// Chat completion with a limit, so that its reservation leaves room.
fn short(text: &str, more: &str) -> String {
    chat(text).replacen('{', &format!("{{\"max_tokens\": 5, {more}"), 1)
}

/// The last message of a request that the provider got.
fn last_message(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned()
}

#[test]
fn the_next_model_call_after_a_warning_tells_what_is_left_once() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let end = streamed(stream(true));
    provider.react([answer(completion()), end, answer(completion())]);
    let requests = [short("one", ""), short("two", "\"stream\": true, "), short("three", "")];
    let bodies: Vec<&str> = requests.iter().map(String::as_str).collect();
    let folder = agent(&sandbox, &provider, STEER, &bodies);
    let run_id = ran(&sandbox, &folder);
    let received = provider.received();
    let texts: Vec<String> = received.iter().map(|it| last_message(&it.body)).collect();
    let text = "[errand] Budget notice. 87 % of tokens_per_run is used: 150 tokens of 1200 tokens are \
                left. Calls that pass the limit are refused. Finish with what you have, in as few \
                further steps as you can.";
    assert_eq!(texts, ["one".to_owned(), format!("two\n\n{text}"), "three".to_owned()]);
    let events = events(&sandbox, &run_id);
    let requested = of_type(&events, "model.requested");
    assert_eq!(requested[1]["instruction"], text);
    assert_eq!(requested[1]["body"], requests[1].as_str(), "the request of the agent is recorded");
    assert_eq!(requested[2]["instruction"], Value::Null);
    let key = &requested[1]["step"];
    let steered = of_type(&events, "budget.steered");
    assert_eq!(steered, [json!({"limits": ["tokens_per_run"], "step": key, "text": text})]);
    let shown = sandbox.errand(["calls", &run_id, "--full"]).run().ok().stdout();
    assert!(shown.contains("errand: [errand] Budget notice."), "{shown}");
    let replayed = sandbox.errand(["replay", &run_id, "--policy", "strict"]);
    let told = replayed.env("OPENAI_API_KEY", KEY).run().ok().stdout();
    assert!(told.contains("is identical with run"), "{told}");
    assert_eq!(provider.received().len(), 3, "a replay calls no provider");
}

#[test]
fn a_call_that_told_its_model_tells_it_again_in_the_next_attempt() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let failed = Reaction::Answer(500, Vec::new(), "no".to_owned());
    provider.react([answer(completion()), failed, answer(completion())]);
    let more = format!(
        "{STEER}  env: {{ FAIL: \"1\" }}\n  retry_policy: {{ max_retries: 1, initial_delay: 0s }}\n"
    );
    let requests = [short("one", ""), short("two", "")];
    let folder = agent(&sandbox, &provider, &more, &[&requests[0], &requests[1]]);
    let run_id = ran(&sandbox, &folder);
    let received = provider.received();
    assert_eq!(received.len(), 3);
    assert!(last_message(&received[1].body).contains("Budget notice"));
    assert_eq!(received[1].body, received[2].body);
    let steered = of_type(&events(&sandbox, &run_id), "budget.steered");
    let limits: Vec<&Value> = steered.iter().map(|it| &it["limits"]).collect();
    assert_eq!(limits, [&json!(["tokens_per_run"]), &json!([])]);
}

#[test]
fn steering_without_a_provider_is_refused() {
    let sandbox = support::sandbox();
    let agent = errand_testkit::TestAgent::shell("true").spec("budgets: { on_warn: steer }");
    let refused = sandbox.errand(["run"]).arg(sandbox.agent(&agent)).run();
    let refused = refused.refuses(2, "errand can tell a model about the budget");
    assert!(refused.stderr().contains("add providers"), "{}", refused.stderr());
}
