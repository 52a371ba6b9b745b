//! Calls that the gateways refuse: what the record says of them.

use errand_testkit::Receiver;
use serde_json::{Value, json};

use crate::models::{KEY, agent, chat, events, of_type, sandbox};

/// Returns provider, model, code and count of the events about refused model calls.
fn refused(events: &[Value]) -> Vec<Value> {
    let all = of_type(events, "model.refused");
    all.iter().map(|it| json!([it["provider"], it["model"], it["code"], it["count"]])).collect()
}

#[test]
fn a_refused_call_is_in_the_record_and_its_repetitions_are_counted() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let body = chat("hi");
    let bodies = [body.as_str(); 12];
    let agent = agent(&sandbox, &provider, "  budgets: { tokens_per_run: 1 }\n", &bodies);
    let ran = sandbox.errand(["run"]).arg(agent).env("OPENAI_API_KEY", KEY).run().ok();
    assert_eq!(ran.stdout().lines().filter(|line| line.starts_with("403 ")).count(), 12);
    assert!(provider.received().is_empty());
    let id = sandbox.errand(["ps", "-aq"]).run().ok().stdout().trim().to_owned();
    let events = events(&sandbox, &id);
    let of = |count: u64| json!(["openai", "gpt-4o", "budget_exceeded", count]);
    assert_eq!(refused(&events), [of(1), of(10), of(12)]);
    let shown = sandbox.errand(["calls", &id]).run().ok().stdout();
    assert!(shown.contains("openai/gpt-4o  refused  12 times  budget_exceeded  "), "{shown}");
    let told = sandbox.errand(["events", &id]).run().ok().stdout();
    assert!(told.contains("model.refused") && told.contains("leaves no room"), "{told}");
    let traced = sandbox.errand(["trace", &id]).run().ok().stdout();
    assert!(traced.contains("refused: budget_exceeded"), "{traced}");
    let json = sandbox.errand(["calls", &id, "--json"]).run().ok().json();
    assert_eq!(json["refused_calls"][0]["refused"]["count"], 12);
}

#[test]
fn each_reason_of_a_refusal_is_in_the_record() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let call = |value: Value| value.to_string();
    let unpriced = json!({"model": "no-such-model", "messages": []}).to_string();
    let denied = json!({"model": "gpt-4o-mini", "messages": []}).to_string();
    let bodies = [
        call(json!({"path": "/chat/completions", "body": "{\"model\":"})),
        call(json!({"of_root": true, "path": "/mistral/v1/chat/completions", "body": "{}"})),
        call(json!({"headers": {"authorization": "Bearer other"}, "body": chat("key"),
                    "path": "/chat/completions"})),
        call(json!({"path": "/responses", "headers": {"upgrade": "websocket"}})),
        unpriced,
        denied,
    ];
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let more = "  budgets: { cost_usd_per_run: 1 }\n  policy: { models: { deny: [{ name: \
                'openai/gpt-4o-mini', reason: not this one }] } }\n";
    let agent = agent(&sandbox, &provider, more, &bodies);
    drop(sandbox.errand(["run"]).arg(agent).env("OPENAI_API_KEY", KEY).run().ok());
    assert!(provider.received().is_empty());
    let id = sandbox.errand(["ps", "-aq"]).run().ok().stdout().trim().to_owned();
    let events = events(&sandbox, &id);
    assert_eq!(
        refused(&events),
        [
            json!(["openai", null, "model_request_invalid", 1]),
            json!([null, null, "model_request_invalid", 1]),
            json!(["openai", null, "token_invalid", 1]),
            json!(["openai", "no-such-model", "model_unpriced", 1]),
            json!(["openai", "gpt-4o-mini", "policy_denied", 1]),
        ]
    );
}

#[test]
fn a_strict_replay_of_a_run_with_a_malformed_request_is_identical() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let malformed = json!({"path": "/chat/completions", "body": "{\"model\":"}).to_string();
    let agent = agent(&sandbox, &provider, "", &[&malformed]);
    drop(sandbox.errand(["run"]).arg(agent).env("OPENAI_API_KEY", KEY).run().ok());
    let id = sandbox.errand(["ps", "-aq"]).run().ok().stdout().trim().to_owned();
    let replayed = sandbox.errand(["replay", &id, "--policy", "strict"]).run().ok();
    assert!(replayed.stdout().contains("is identical with"), "{}", replayed.stdout());
}
