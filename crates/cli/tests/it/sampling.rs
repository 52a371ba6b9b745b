//! Model calls of which the bodies are not kept (`observability.sampling`).

use std::path::Path;

use errand_testkit::{Reaction, Receiver, Sandbox};
use serde_json::Value;

use crate::models::{KEY, agent, answer, chat, completion, events, sandbox};
use crate::support;

fn ran(sandbox: &Sandbox, path: &Path) -> String {
    drop(sandbox.errand(["run"]).arg(path).env("OPENAI_API_KEY", KEY).run().ok());
    sandbox.errand(["ps", "-aq"]).run().ok().stdout().lines().next().unwrap().trim().to_owned()
}

fn of_type(events: &[Value], kind: &str) -> Vec<Value> {
    let found = events.iter().filter(|event| event["type"] == kind);
    found.map(|event| event["data"].clone()).collect()
}

#[test]
fn a_call_whose_answer_is_not_kept_is_made_again_and_not_replayed() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    provider.react([answer(completion()), answer(completion())]);
    let more = "  observability: { sampling: none }\n  env: { FAIL: \"1\" }\n  retry_policy: { max_retries: 1, \
                initial_delay: 0s }\n";
    let body = chat("a question");
    let run_id = ran(&sandbox, &agent(&sandbox, &provider, more, &[&body]));
    assert_eq!(provider.received().len(), 2, "the second attempt asks the provider again");
    let events = events(&sandbox, &run_id);
    let requested = of_type(&events, "model.requested");
    for request in &requested {
        assert_eq!((&request["body"], &request["body_kept"]), (&Value::Null, &Value::from(false)));
        assert_eq!(request["request_bytes"], body.len());
    }
    let completed = of_type(&events, "step.completed");
    assert_eq!(completed.len(), 2);
    assert!(completed.iter().all(|step| step["output"].is_null()), "{completed:?}");
    assert!(completed[0]["key"] != completed[1]["key"], "a further occurrence: {completed:?}");
    let called = of_type(&events, "model.called");
    assert!(called.iter().all(|call| call["input_tokens"] == 1000), "{called:?}");
    let refused = sandbox.errand(["replay", &run_id, "--policy", "strict"]);
    let refused = refused.env("OPENAI_API_KEY", KEY).run().refuses(125, "error[replay_refused]");
    assert!(refused.stderr().contains("did not keep them"), "{}", refused.stderr());
    let told = sandbox.errand(["replay", &run_id]).run().ok().stdout();
    assert!(told.contains("a strict replay is not possible"), "{told}");
}

#[test]
fn the_request_of_a_call_that_failed_is_kept_for_errors() {
    let (sandbox, provider) = (sandbox(), Receiver::start());
    let failed = Reaction::Answer(400, Vec::new(), "no".to_owned());
    provider.react([answer(completion()), failed]);
    let more = "  observability: { sampling: errors }\n";
    let (one, two) = (chat("one"), chat("two"));
    let run_id = ran(&sandbox, &agent(&sandbox, &provider, more, &[&one, &two]));
    let json = sandbox.errand(["calls", &run_id, "--json"]).run().ok().json();
    let calls = json["calls"].as_array().unwrap();
    let shown: Vec<_> = calls.iter().map(|call| (&call["status"], &call["request"])).collect();
    let expect = [("completed", Value::Null), ("failed", Value::from(two))];
    assert_eq!(shown.len(), 2, "{json}");
    for ((status, request), (expect_status, expect_request)) in shown.into_iter().zip(expect) {
        assert_eq!((status, request), (&Value::from(expect_status), &expect_request));
    }
}

#[test]
fn a_sampling_that_is_no_share_is_refused() {
    let sandbox = support::sandbox();
    for wrong in ["1.5", "some", "-1", "[]", "true"] {
        let spec = format!("observability: {{ sampling: {wrong} }}");
        let agent = errand_testkit::TestAgent::shell("true").spec(&spec);
        let refused = sandbox.errand(["run"]).arg(sandbox.agent(&agent)).run();
        drop(refused.refuses(2, "a share from 0 to 1"));
    }
}
