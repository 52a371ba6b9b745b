//! Model calls under way when their run ends.

use errand_testkit::{Reaction, Receiver};
use serde_json::json;

use crate::models::{KEY, agent, events, of_type, sandbox};
use crate::support::record;

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
