//! Model calls under way when their run ends.

use errand_testkit::podman::{IMAGE, Podman};
use errand_testkit::{LIMIT, Reaction, Receiver, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::models::{KEY, agent, answer, chat, completion, events, of_type, sandbox};
use crate::support::{kill, record};

#[test]
fn a_call_that_is_ended_before_its_answer_begins_is_charged_as_reserved() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([Reaction::Silence]);
    let body = json!({"model": "gpt-4o", "max_tokens": 64, "messages": []}).to_string();
    let agent = agent(&sandbox, &provider, "", &[&body]);
    let started = sandbox.errand(["run", "-d"]).arg(agent).env("OPENAI_API_KEY", KEY).run().ok();
    let id = started.stdout_line();
    drop(provider.wait_for(1));
    let _stopped = sandbox.errand(["stop", &id]).run().ok();
    let events = events(&sandbox, &id);
    let called = of_type(&events, "model.called");
    assert_eq!(called.len(), 1, "{events:?}");
    assert_eq!(
        (&called[0]["usage"], &called[0]["output_tokens"]),
        (&json!("reserved"), &json!(64))
    );
    assert_eq!(of_type(&events, "step.failed")[0]["error"]["code"], "provider_unreachable");
    assert_eq!(record(&sandbox, &id)["usage"]["output_tokens"], 64);
}

#[test]
fn a_call_whose_helper_is_killed_is_charged_as_reserved_and_made_again() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([Reaction::Silence, Reaction::Silence, answer(completion())]);
    let retry = "  retry_policy: { max_retries: 2, initial_delay: 0s }\n";
    let mut body: Value = serde_json::from_str(&chat("hi")).unwrap();
    body["max_tokens"] = json!(64);
    let agent = agent(&sandbox, &provider, retry, &[&body.to_string()]);
    let started = sandbox.errand(["run", "-d"]).arg(agent).env("OPENAI_API_KEY", KEY).run().ok();
    let id = started.stdout_line();
    for calls in 1..=2 {
        drop(provider.wait_for(calls));
        kill(&record(&sandbox, &id)["pid"]);
        // The next look at the run starts its next attempt.
        drop(sandbox.errand(["ps"]).env("OPENAI_API_KEY", KEY).run().ok());
    }
    let waited = sandbox.errand(["wait", &id]).env("OPENAI_API_KEY", KEY).run().ok();
    assert_eq!(waited.stdout_line(), "0");
    assert_eq!(provider.received().len(), 3);
    let events = events(&sandbox, &id);
    let begun = of_type(&events, "step.started");
    assert!(begun.iter().all(|step| step["key"] == begun[0]["key"]), "{begun:?}");
    let failed = of_type(&events, "step.failed");
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert_eq!(failed[0]["error"]["code"], "helper_died");
    let called = of_type(&events, "model.called");
    assert_eq!(called.len(), 3, "{called:?}");
    let requested = of_type(&events, "model.requested");
    for (call, requested) in called.iter().zip(&requested).take(2) {
        assert_eq!((&call["usage"], &call["success"]), (&json!("reserved"), &json!(false)));
        assert_eq!(call["output_tokens"], 64);
        assert_eq!(call["reservation_id"], requested["reserved"]["reservation_id"]);
        assert!(call["cost_micro_usd"].as_u64().unwrap() > 0, "{call}");
    }
    let reserved = called[0]["input_tokens"].as_u64().unwrap();
    let usage = record(&sandbox, &id)["usage"].clone();
    assert_eq!(usage["input_tokens"], 1000 + 2 * reserved, "{usage}");
    assert_eq!(usage["output_tokens"], 50 + 2 * 64, "{usage}");
    let shown = sandbox.errand(["calls", &id]).run().ok().stdout();
    assert!(!shown.contains("under way"), "{shown}");
    assert_eq!(shown.matches("usage=reserved").count(), 2, "{shown}");
}

#[test]
fn a_call_of_a_container_whose_helper_is_killed_ends_when_the_container_is_adopted() {
    let Some(podman) = Podman::shared() else { return };
    let (mut sandbox, provider) = (sandbox(), Receiver::start());
    sandbox.set_env("DOCKER_HOST", podman.address());
    sandbox.set_env("OPENAI_API_KEY", KEY);
    provider.react([Reaction::Silence, answer(completion())]);
    let call = "wget -q -O - --header \"authorization: Bearer $OPENAI_API_KEY\" --post-data \
                '{\"model\":\"gpt-4o\",\"max_tokens\":640,\"messages\":[]}' \
                \"$OPENAI_BASE_URL/chat/completions\"";
    let script = format!("until {call}; do sleep 0.1; done\n");
    let url = provider.url("/v1");
    let agent = TestAgent::shell(&script)
        .spec(&format!("target: {{ type: container, image: '{IMAGE}', network: none }}"))
        .spec(&format!("providers: {{ openai: {{ key: OPENAI_API_KEY, base_url: '{url}' }} }}"))
        .spec("budgets: { tokens_per_run: 1500 }");
    let agent = agent.write_below(&sandbox.repo());
    let id = sandbox.errand(["run", "-d"]).arg(agent).run().ok().stdout_line();
    drop(provider.wait_for(1));
    kill(&record(&sandbox, &id)["pid"]);
    wait_until("the run has ended", LIMIT, || record(&sandbox, &id)["status"] == "completed");
    let events = events(&sandbox, &id);
    assert_eq!(of_type(&events, "attempt.adopted").len(), 1);
    let called = of_type(&events, "model.called");
    assert_eq!(called[0]["usage"], "reserved");
    assert_eq!(called[1]["input_tokens"], 1000, "the reservation of the first is free again");
    assert_eq!(called.len(), 2, "{called:?}");
    assert_eq!(of_type(&events, "step.failed")[0]["error"]["code"], "helper_died");
}
