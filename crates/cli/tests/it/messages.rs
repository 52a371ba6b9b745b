//! Messages between the agents of a coordinated run, through real processes.

use errand_testkit::{Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::support::{event_types, sandbox};

/// Writes a workflow of agents beside each other.
fn team(sandbox: &Sandbox, graph: &str, agents: &[TestAgent]) -> std::path::PathBuf {
    let folder = sandbox.repo().join("team");
    for agent in agents {
        agent.write_below(&folder);
    }
    let file = format!(
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: team }}\nspec:\n  coordinator:\n{graph}"
    );
    sandbox.write("team/team/agent.yaml", file);
    folder.join("team")
}

fn runs(sandbox: &Sandbox) -> Vec<Value> {
    let all = sandbox.errand(["ps", "-a", "--all-children", "--json"]).run();
    serde_json::from_str(&all.stdout()).unwrap_or_default()
}

const GRAPH: &str = "    type: workflow\n    start: analyst\n    max_messages: 10\n    graph:\n      \
    analyst: { agent: ../analyst, outputs_to: [writer] }\n      \
    writer: { agent: ../writer, outputs_to: [analyst, __end__] }\n";

#[test]
fn agents_ask_and_answer_each_other_until_one_of_them_ends_the_run() {
    let sandbox = sandbox();
    // The analyst stays alive and waits for the writer's verdict.
    let analyst = TestAgent::shell(
        "errand agent message send --to writer --type RESULT '{\"draft\": 1}' > /dev/null\n\
         errand agent message next --timeout 60s > verdict\n\
         python3 - <<'EOF' > better.json\n\
         import json\n\
         verdict = json.load(open('verdict'))\n\
         assert verdict['message_type'] == 'VALIDATION', verdict\n\
         assert verdict['from'] == 'writer', verdict\n\
         print(json.dumps({'draft': 2, 'since': verdict['payload']['why']}))\n\
         EOF\n\
         errand agent message send --to __prev__ --type TASK 1 2> refused || true\n\
         errand agent message send --to writer --type RESULT @better.json\n",
    )
    .named("analyst");
    let writer = TestAgent::shell(
        "input=$(cat)\n\
         case \"$input\" in\n\
         *'\"draft\":1'*) errand agent message send --to __prev__ --type VALIDATION \
           '{\"approved\": false, \"why\": \"thin\"}' ;;\n\
         *) errand agent message send --to __end__ --type RESULT \"$input\" ;;\n\
         esac\n",
    )
    .named("writer");
    let team = team(&sandbox, GRAPH, &[analyst, writer]);
    let ran = sandbox.errand(["run", "--json", "--timeout", "2m"]).args([&team]).run();
    let printed = ran.stdout();
    assert!(printed.contains("\"since\""), "{printed}\n{}\n{:#?}", ran.stderr(), runs(&sandbox));
    let at = printed.rfind("\n{\n").map_or(0, |at| at + 1);
    let record: Value = serde_json::from_str(&printed[at..]).unwrap();
    assert_eq!(record["status"], "completed");
    assert_eq!(record["output"], json!({ "draft": 2, "since": "thin" }));
    let types = event_types(&sandbox, record["run_id"].as_str().unwrap());
    // Messages: to the analyst, its two, the verdict, the end.
    assert_eq!(types.iter().filter(|kind| *kind == "message.sent").count(), 5, "{types:?}");
}

#[test]
fn a_message_from_a_run_without_a_coordinator_is_refused() {
    let sandbox = sandbox();
    let agent = TestAgent::shell(
        "errand agent message send --to x --type TASK 1 2> why || echo $?\n\
         errand agent message next --timeout 0s 2>> why || echo $?; cat why\n",
    );
    let ran = sandbox.errand(["run"]).args([&sandbox.agent(&agent)]).run().ok();
    let printed = ran.stdout();
    assert!(printed.starts_with("125\n125\n"), "{printed}");
    assert!(printed.contains("no_coordinator"), "{printed}");
}
