//! Refusals of malformed input, which create nothing.

use errand_testkit::{Sandbox, TestAgent};

use crate::support::sandbox;

fn check(sandbox: &Sandbox, words: &[&str], code: i32, complaint: &str) {
    let output = sandbox.errand(words).run();
    assert!(output.stderr().contains(complaint), "expected {complaint:?}\n{}", output.describe());
    drop(output.exits(code));
    assert!(!sandbox.registry().exists(), "a refusal creates nothing: {words:?}");
}

#[test]
fn malformed_command_lines_are_refused() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell("true"));
    sandbox.write("empty/README", "");
    sandbox.write("broken/agent.yaml", "a: [");
    sandbox.write("binary/agent.yaml", b"\x00\xff");
    let long_name = "x".repeat(129);
    let agent = "test-agent";
    let wrong: &[(&[&str], i32, &str)] = &[
        (&[], 2, "Usage"),
        (&["frobnicate"], 2, "error[usage]: there is no command \"frobnicate\""),
        (&["run"], 2, "neither an agent nor a command is given"),
        (&["run", "--provider", "openai=KEY"], 2, "neither an agent nor a command is given"),
        (&["run", "no-such-folder"], 2, "no-such-folder"),
        (&["run", "empty"], 2, "agent.yaml"),
        (&["run", "broken"], 2, "agent_file_invalid"),
        (&["run", "binary"], 2, "agent_file_invalid"),
        (&["run", agent, "--no-such-flag"], 2, "--no-such-flag"),
        (&["run", agent, "--job"], 2, "--job"),
        (&["run", agent, "--job", "@no-such-file"], 2, "no-such-file"),
        (&["run", agent, "--job", "1", "--heartbeat"], 2, "--heartbeat"),
        (&["run", agent, "--timeout", "soon"], 2, "soon"),
        (&["run", agent, "--timeout", "10"], 2, "10"),
        (&["run", agent, "--timeout", "0s"], 2, "0s"),
        (&["run", agent, "--label", "novalue"], 2, "novalue"),
        (&["run", agent, "--env", "=x"], 2, "=x"),
        (&["run", agent, "--env", "A-B=x"], 2, "A-B"),
        (&["run", agent, "--env", "ERRAND_TOKEN=x"], 2, "ERRAND_TOKEN"),
        (&["run", agent, "--name", ""], 2, "name_invalid"),
        (&["run", agent, "--name", "a\nb"], 2, "name_invalid"),
        (&["run", agent, "--name", &long_name], 2, "name_invalid"),
        (&["run", agent, "--idempotency-key", ""], 2, "--idempotency-key"),
        (&["run", agent, "--force"], 2, "--dedup"),
        (&["serve", agent, "--schedule", "every now and then"], 2, "cron_invalid"),
        (&["serve", agent, "--schedule", "0 0 30 2 *"], 2, "cron_invalid"),
        (&["serve", agent, "--schedule", ""], 2, "cron_invalid"),
        (&["serve", agent, "--interval-ms", "0"], 2, "--interval-ms"),
        (&["serve", agent, "--listen", "nowhere"], 2, "nowhere"),
        (&["serve", agent, "--listen", "0.0.0.0:0"], 2, "listen_unsafe"),
        (&["serve", agent, "--listen-path", "/x"], 2, "--listen"),
        (&["serve", agent, "--listen", "127.0.0.1:0", "--listen-path", "x"], 2, "--listen-path"),
        (
            &["serve", agent, "--listen", "127.0.0.1:0", "--listen-method", "A B"],
            2,
            "--listen-method",
        ),
        (
            &["serve", agent, "--listen", "127.0.0.1:0", "--listen-max-body-bytes", "0"],
            2,
            "--listen-max-body-bytes",
        ),
        (&["ps", "--filter", "color=red"], 2, "filter_invalid"),
        (&["ps", "--filter", "status=done"], 2, "filter_invalid"),
        (&["inspect-run", "anything"], 125, "registry_not_found"),
        (&["logs", "anything"], 125, "registry_not_found"),
        (&["stop", "anything"], 125, "registry_not_found"),
        (&["wait", "anything"], 125, "registry_not_found"),
        (&["rm", "anything"], 125, "registry_not_found"),
        (&["logs", "anything", "--since", "yesterday"], 2, "yesterday"),
        (&["prune", "--older-than", "x"], 2, "--older-than"),
        (&["registry", "check"], 125, "registry_not_found"),
        (&["explain", "no_such_code"], 2, "no_such_code"),
        (&["validate", "no-such-file.yaml"], 2, "no-such-file.yaml"),
        (&["build", "empty"], 2, "agent.yaml"),
        (&["verify", "anything"], 125, "registry_not_found"),
        (&["completions", "tcsh"], 2, "tcsh"),
    ];
    for (words, code, complaint) in wrong {
        check(&sandbox, words, *code, complaint);
    }
    // A refusal leaves no process.
    crate::support::nobody_left(&sandbox);
}

#[test]
fn a_payload_that_does_not_fit_the_agents_schema_is_refused() {
    let sandbox = sandbox();
    let schema =
        "input_schema: { type: object, required: [task], properties: { task: { type: string } } }";
    sandbox.agent(&TestAgent::shell("true").spec(schema));
    check(&sandbox, &["run", "test-agent"], 2, "input_invalid");
    check(&sandbox, &["run", "test-agent", "--job", "not json"], 2, "input_invalid");
    check(&sandbox, &["run", "-d", "test-agent", "--job", "{\"task\": 1}"], 2, "/task");
    drop(sandbox.errand(["run", "test-agent", "--job", "{\"task\": \"x\"}"]).run().ok());
}

#[test]
fn a_payload_that_is_too_large_is_refused() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell("true"));
    let file = std::fs::File::create(sandbox.path("huge")).unwrap();
    file.set_len(65 * 1024 * 1024).unwrap();
    check(&sandbox, &["run", "test-agent", "--job", "@huge"], 2, "huge");
}

#[test]
fn all_problems_of_an_agent_file_are_reported_with_their_places() {
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
fn a_missing_secret_is_reported_before_anything_is_created() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell("true").spec("secrets: [NOT_SET]"));
    check(&sandbox, &["run", "test-agent"], 125, "NOT_SET");
}

#[test]
fn a_refused_command_line_has_a_hint_with_the_right_command() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell("true"));
    let agent = "test-agent";
    let wrong: &[(&[&str], i32, &str)] = &[
        (&["rnu", agent], 2, "did you mean `errand run`?"),
        (&["kill", "x"], 2, "`errand stop --force RUN`"),
        (&["ps", "--no-such-flag"], 2, "error[usage]: unexpected argument '--no-such-flag'"),
        (&["--server", "localhost:8200", "ps"], 2, "write http://localhost:8200"),
        (
            &["--server", "http://localhost:8200/v1", "ps"],
            2,
            "leave /v1 out: http://localhost:8200",
        ),
        (&["run", agent, "-e", "SET_NOWHERE"], 2, "write --env SET_NOWHERE=VALUE"),
        (&["explain", "run_not_fuond"], 2, "did you mean `errand explain run_not_found`?"),
        (
            &["run", "--provider", "openai=K", "ls"],
            2,
            "hint: write `--` before the command: errand run --provider openai=K -- ls",
        ),
        (&["run", "--image", "Bad Image"], 2, ": --image: \"Bad Image\" is not the name"),
        (
            &["run", "--sandbox", "workspace,egress=http://x.org", "--", "true"],
            2,
            "egress=http://x.org: write a host without http://",
        ),
        (&["config", "check", "--tls-cert", "none.pem", "--tls-key", "none.pem"], 2, "none.pem"),
    ];
    for (words, code, complaint) in wrong {
        check(&sandbox, words, *code, complaint);
    }
}

#[test]
fn the_name_of_an_agent_leads_to_its_last_run() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell("true"));
    let run_id = sandbox.errand(["run", "-d", "test-agent"]).run().ok().stdout_line();
    let said = format!("\"test-agent\" is an agent; its last run is {run_id}");
    drop(sandbox.errand(["logs", "test-agent"]).run().refuses(125, &said));
}

#[test]
fn a_variable_without_a_value_is_passed_on() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell("echo \"$COLOUR\""));
    let command = sandbox.errand(["run", "test-agent", "-e", "COLOUR"]).env("COLOUR", "green");
    assert_eq!(command.run().ok().stdout_line(), "green");
}

#[test]
fn a_type_filter_without_matching_events_is_noted_with_the_journals_types() {
    let sandbox = sandbox();
    sandbox.agent(&TestAgent::shell("true"));
    let run_id = sandbox.errand(["run", "-d", "test-agent"]).run().ok().stdout_line();
    drop(sandbox.errand(["wait", &run_id]).run().ok());
    let output = sandbox.errand(["events", &run_id, "--type", "nosuch"]).run().ok();
    assert!(output.stderr().contains("has the type nosuch; it has "), "{}", output.describe());
}
