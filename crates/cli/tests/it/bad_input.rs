//! What cannot be understood is refused, and nothing is created.

use errand_testkit::{Agent, Sandbox};

use crate::support::sandbox;

fn check(sandbox: &Sandbox, words: &[&str], code: i32, complaint: &str) {
    let output = sandbox.errand(words).run();
    assert!(output.stderr().contains(complaint), "expected {complaint:?}\n{}", output.describe());
    drop(output.exits(code));
    assert!(!sandbox.registry().exists(), "a refusal creates nothing: {words:?}");
}

#[test]
fn words_that_are_not_understood() {
    let sandbox = sandbox();
    sandbox.agent(&Agent::shell("true"));
    let agent = "test-agent";
    check(&sandbox, &["frobnicate"], 2, "frobnicate");
    check(&sandbox, &["run"], 2, "Usage");
    check(&sandbox, &["run", "no-such-folder"], 2, "no-such-folder");
    check(&sandbox, &["run", agent, "--job", "@no-such-file"], 2, "no-such-file");
    check(&sandbox, &["run", agent, "--timeout", "soon"], 2, "soon");
    check(&sandbox, &["run", agent, "--label", "novalue"], 2, "novalue");
    check(&sandbox, &["run", agent, "--env", "=x"], 2, "=x");
    check(&sandbox, &["serve", agent, "--schedule", "every now and then"], 2, "cron_invalid");
    check(&sandbox, &["serve", agent, "--schedule", "0 0 30 2 *"], 2, "cron_invalid");
    check(&sandbox, &["serve", agent, "--listen", "nowhere"], 2, "nowhere");
    check(&sandbox, &["serve", agent, "--listen", "0.0.0.0:0"], 2, "listen_unsafe");
}

#[test]
fn an_agent_file_with_problems_says_where_they_all_are() {
    let sandbox = sandbox();
    let yaml = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: a, version: 1.0.0 }\n\
                spec:\n  comand: [true]\n  timeouts: { run: 10 }\n";
    sandbox.write("agent/agent.yaml", yaml);
    let output = sandbox.errand(["run", "agent"]).run().exits(2);
    let complaints = output.stderr();
    assert!(complaints.contains("5:3") && complaints.contains("command"), "{complaints}");
    assert!(complaints.contains("6:"), "all problems are said at once: {complaints}");
    assert!(!sandbox.registry().exists());
}

#[test]
fn a_missing_secret_is_said_before_anything_is_created() {
    let sandbox = sandbox();
    sandbox.agent(&Agent::shell("true").spec("secrets: [NOT_SET]"));
    check(&sandbox, &["run", "test-agent"], 125, "NOT_SET");
}
