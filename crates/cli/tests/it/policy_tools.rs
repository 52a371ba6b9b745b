//! Policies and the tools that there are: rules about none of them, obligations, and what is known of
//! the calls so far.

use errand_testkit::Sandbox;
use serde_json::{Value, json};

use crate::policy_results::{made, ran, tool_agent};
use crate::support::{self, events};

fn apply(sandbox: &Sandbox, name: &str, spec: &str) {
    sandbox.write(
        "policy.yaml",
        format!(
            "apiVersion: errand.dev/v1\nkind: Policy\nmetadata: {{ name: {name} }}\nspec:\n{spec}"
        ),
    );
    drop(sandbox.errand(["apply", "-f", "policy.yaml"]).run().ok());
}

fn log_of(sandbox: &Sandbox, run_id: &str) -> String {
    let log = sandbox.errand(["logs", "--system", run_id]).run().ok();
    format!("{}{}", log.stdout(), log.stderr())
}

#[test]
fn a_rule_that_names_an_unknown_tool_ends_the_run_before_its_agent_begins() {
    let sandbox = support::sandbox();
    tool_agent(&sandbox, "policy: { tools: { deny: [plain_wriet] } }", &["plain_echo"]);
    let refused = sandbox.errand(["run", "agent"]).run();
    let refused = refused.refuses(125, "error[tool_rule_unknown]");
    assert!(refused.stderr().contains("did you mean \"plain_write\"?"), "{}", refused.stderr());
    let run_id = sandbox.errand(["ps", "-aq"]).run().ok().stdout_line();
    let begun = events(&sandbox, &run_id, "attempt.running");
    assert_eq!((begun.len(), made(&sandbox)), (0, 0), "the agent did not begin");

    // A tool that the agent reports by itself counts if its file names it.
    let policy =
        "policy: { tools: { deny: [look_around, write] } }\n  tools: [{ name: look_around }]";
    tool_agent(&sandbox, policy, &["plain_echo"]);
    let (printed, _) = ran(&sandbox);
    assert!(printed.starts_with("ok echo"), "{printed}");
}

#[test]
fn rules_for_other_agents_and_patterns_about_no_tool_are_noted() {
    let sandbox = support::sandbox();
    apply(&sandbox, "shared", "  tools: { deny: [mail_send], ask: ['db_*'] }\n");
    tool_agent(&sandbox, "policies: [shared]", &["plain_echo"]);
    let (printed, run_id) = ran(&sandbox);
    assert!(printed.starts_with("ok echo"), "{printed}");
    let log = log_of(&sandbox, &run_id);
    for rule in ["\"mail_send\" in tools.deny", "\"db_*\" in tools.ask"] {
        assert!(log.contains(&format!("the rule {rule} of the policy shared@1")), "{log}");
    }
    apply(&sandbox, "shared", "  tools: { deny: [plain_echoes] }\n");
    let refused = sandbox.errand(["run", "agent"]).run();
    drop(refused.refuses(125, "error[tool_rule_unknown]"));

    let tested = sandbox.errand(["policy", "test", "-f", "policy.yaml", &run_id]).run().ok();
    let told = format!("{}{}", tested.stdout(), tested.stderr());
    assert!(told.contains("\"plain_echoes\" in tools.deny of shared is about no tool"), "{told}");
}

const OBLIGES: &str = r#"  hooks: [before_tool, after_tool]
  rego: |
    package errand
    default decision := "allow"
    decision := {"decision": "allow", "obligations": [{"label": "pii"}, {"redact": ["/content/0/text"]}]} if {
      input.hook == "after_tool"
      input.call.arguments.a == 1
    }
    decision := {"decision": "allow", "obligations": {"notify": "ann"}} if {
      input.hook == "before_tool"
      input.call.arguments.a == 2
    }
    decision := {"decision": "deny", "reason": sprintf("pii was read by %v", [input.so_far.tools])} if {
      input.hook == "before_tool"
      input.call.name == "write"
      "pii" in input.so_far.labels
    }
"#;

#[test]
fn obligations_are_carried_out_recorded_and_never_dropped() {
    let sandbox = support::sandbox();
    apply(&sandbox, "obliges", OBLIGES);
    let requests = [
        "plain_write {\"x\": 1}",
        "plain_echo {\"a\": 1}",
        "plain_echo {\"a\": 2}",
        "plain_write {\"x\": 1}",
    ];
    tool_agent(&sandbox, "policies: [obliges]", &requests);
    let (printed, run_id) = ran(&sandbox);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("ok write"), "{printed}");
    assert_eq!(lines[1], "ok [redacted]");
    assert!(lines[2].contains("obliges errand to \"notify\", which it cannot do"), "{printed}");
    assert!(lines[3].contains("pii was read by"), "{printed}");
    assert!(lines[3].contains("plain_echo"), "{printed}");
    assert_eq!(made(&sandbox), 2);
    let decided = events(&sandbox, &run_id, "policy.decided");
    let obliged: Vec<&Value> = decided.iter().filter(|it| it["obligations"].is_array()).collect();
    assert_eq!(obliged.len(), 1, "{decided:?}");
    assert_eq!(
        (&obliged[0]["labels"], &obliged[0]["enforced"]),
        (&json!(["pii"]), &json!("modify"))
    );
    assert_eq!(obliged[0]["obligations"][0], json!({ "label": "pii" }));
    let all = sandbox.errand(["policy", "explain", &run_id, "--json"]).run().ok().json();
    let of_it = all["decisions"].as_array().unwrap().iter().find(|it| it["labels"].is_array());
    let seq = of_it.unwrap()["seq"].to_string();
    let shown = sandbox.errand(["policy", "explain", &run_id, &seq]).run().ok().stdout();
    assert!(shown.contains("labels       pii"), "{shown}");
}

#[test]
fn a_policy_is_tried_on_calls_that_were_refused() {
    let sandbox = support::sandbox();
    tool_agent(&sandbox, "policy: { tools: { deny: [write] } }", &["plain_echo", "plain_write"]);
    let (_, run_id) = ran(&sandbox);
    apply(&sandbox, "other", "  tools: { ask: [write] }\n");
    let tested = sandbox.errand(["policy", "test", "-f", "policy.yaml", "--json", &run_id]);
    let tested = tested.run().ok().json();
    assert_eq!((&tested["calls"], &tested["verdicts"]["ask"]), (&json!(2), &json!(1)), "{tested}");
    assert_eq!(tested["decisions"][0]["subject"], "plain_write");
}

#[test]
fn calls_of_a_server_that_holds_a_memory_are_asked_about_as_such() {
    let sandbox = support::sandbox();
    let program = r#"  hooks: [on_memory]
  rego: |
    package errand
    default decision := "allow"
    decision := {"decision": "modify", "modified": {"x": 7}} if { input.call.arguments.x == 1 }
    decision := {"decision": "deny", "reason": "not to be remembered"} if { input.call.arguments.x == 2 }
"#;
    apply(&sandbox, "memory", program);
    let policy = "policies: [memory]\n  policy: { memory: { deny: [fail] } }";
    let requests = ["plain_write {\"x\": 1}", "plain_write {\"x\": 2}", "plain_fail"];
    tool_agent(&sandbox, policy, &requests);
    let file = std::fs::read_to_string(sandbox.path("agent/agent.yaml")).unwrap();
    let file = file.replace("- name: plain\n", "- name: plain\n      holds: memory\n");
    sandbox.write("agent/agent.yaml", file);
    let (printed, run_id) = ran(&sandbox);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("ok write {\"x\": 7}"), "{printed}");
    assert!(lines[1].contains("not to be remembered"), "{printed}");
    assert!(lines[2].contains("the rule \"fail\" denies"), "{printed}");
    let decided = events(&sandbox, &run_id, "policy.decided");
    assert!(decided.iter().all(|it| it["hook"] == "on_memory"), "{decided:?}");
    assert_eq!(made(&sandbox), 1);
}
