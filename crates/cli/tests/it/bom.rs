//! Bills of materials: pinned by attempts, stored by digest, compared.

use errand_testkit::{ErrandServer, Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::coordinated::coordinator;
use crate::support::{finish, record, sandbox, start};

fn bom(sandbox: &Sandbox, of: &str) -> Value {
    sandbox.errand(["bom", of]).run().ok().json()
}

fn agent(script: &str) -> TestAgent {
    let model = "model: { provider: openai, name: gpt-4o-mini }";
    TestAgent::shell(script).named("reviewer").spec(model).spec("skills: [style]")
}

fn skilled(script: &str, skill: &str) -> TestAgent {
    agent(script).file("skills/style.md", skill)
}

fn component<'a>(document: &'a Value, reference: &str) -> &'a Value {
    let all = document["components"].as_array().unwrap();
    all.iter().find(|component| component["bom-ref"] == reference).expect(reference)
}

#[test]
fn an_attempt_pins_the_inventory_of_what_it_executes() {
    let sandbox = sandbox();
    let folder = sandbox.agent(&skilled("true", "be kind"));
    let run_id = start(&sandbox, &folder, &[]);
    let record = finish(&sandbox, &run_id);
    let document = bom(&sandbox, &run_id);
    assert_eq!(record["bom"]["generation"], 1, "{record:#}");
    assert_eq!(document["version"], 1);
    assert_eq!(document["specVersion"], "1.6");
    assert_eq!(document["metadata"]["component"]["name"], "reviewer");
    let parcel = record["parcel_digest"].as_str().unwrap().trim_start_matches("sha256:");
    assert_eq!(document["metadata"]["component"]["hashes"][0]["content"], parcel);
    let of_skill = &component(&document, "skill:style")["hashes"];
    assert_eq!(of_skill, &component(&document, "file:skills/style.md")["hashes"]);
    component(&document, "model:openai/gpt-4o-mini");
    let digest = record["bom"]["digest"].as_str().unwrap();
    let by_digest = bom(&sandbox, digest);
    assert_eq!(by_digest["components"], document["components"], "it is found by its digest");
    assert_eq!(by_digest["serialNumber"], document["serialNumber"]);
    let events = sandbox.errand(["events", &run_id, "--json"]).run().ok().json_lines();
    assert_eq!(events[1]["type"], "attempt.started");
    assert_eq!(events[2]["type"], "bom.pinned");
    assert_eq!(events[1]["at_ms"], events[2]["at_ms"], "decided together");
}

#[test]
fn a_generation_begins_where_the_content_changes() {
    let sandbox = sandbox();
    let generation_of = |agent: &TestAgent| {
        let run_id = start(&sandbox, &sandbox.agent(agent), &[]);
        (finish(&sandbox, &run_id)["bom"]["generation"].as_u64().unwrap(), run_id)
    };
    let (first, first_run) = generation_of(&skilled("true", "be kind"));
    let (again, _) = generation_of(&skilled("true", "be kind"));
    let (second, second_run) = generation_of(&skilled("true", "be strict"));
    assert_eq!([first, again, second], [1, 1, 2]);

    let listed = sandbox.errand(["bom", "ls", "reviewer", "--json"]).run().ok().json();
    let generations: Vec<_> =
        listed.as_array().unwrap().iter().map(|it| it["generation"].as_u64().unwrap()).collect();
    assert_eq!(generations, [2, 1], "the latest first");
    assert_eq!(listed[0]["digest"], record(&sandbox, &second_run)["bom"]["digest"]);
    assert_eq!(bom(&sandbox, "reviewer@1"), bom(&sandbox, &first_run));
    drop(sandbox.errand(["bom", "reviewer@3"]).run().refuses(125, "bom_not_found"));
    assert_eq!(sandbox.errand(["bom", "ls", "nobody", "--json"]).run().ok().stdout().trim(), "[]");

    // The blobs survive a loss of the registry.
    crate::support::nobody_left(&sandbox);
    std::fs::remove_file(sandbox.registry().join("registry.db")).unwrap();
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    let rebuilt = sandbox.errand(["bom", "ls", "reviewer", "--json"]).run().ok().json();
    let digests = |list: &Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|it| it["digest"].clone()).collect()
    };
    assert_eq!(digests(&rebuilt), digests(&listed));
}

#[test]
fn bom_diff_lists_changes_and_exits_with_1_if_there_are_any() {
    let sandbox = sandbox();
    let run_id = start(&sandbox, &sandbox.agent(&skilled("true", "be kind")), &[]);
    finish(&sandbox, &run_id);
    let same = sandbox.errand(["bom", "--diff", &run_id, "./reviewer"]).run().ok().stdout();
    assert!(same.ends_with("no difference\n"), "{same}");
    sandbox
        .agent(&skilled("true", "be strict").file("new.txt", "new").spec("timeouts: { run: 9s }"));
    let differ = sandbox.errand(["bom", "--diff", &run_id, "./reviewer"]).run().exits(1).stdout();
    for expected in
        ["+ file:new.txt", "~ skill:style ", " -> ", "timeout:run_ms: (not set) -> 9000"]
    {
        assert!(differ.contains(expected), "{expected} is not in\n{differ}");
    }
    let words = ["bom", "--json", "--diff", "reviewer@1", "./reviewer"];
    let differ = sandbox.errand(words).run().exits(1).json();
    assert_eq!(differ["schema"], 1);
    assert_eq!(differ["to"]["generation"], 2, "what it would be");
    assert_eq!(differ["added"][0]["reference"], "file:new.txt");
    let changed: Vec<_> = differ["changed"].as_array().unwrap().iter().collect();
    assert!(changed.iter().all(|it| it["from"] != it["to"]), "{differ:#}");
    assert!(changed.iter().any(|it| it["reference"] == "skill:style"), "{differ:#}");
}

#[test]
fn no_value_of_a_secret_or_variable_is_in_an_inventory() {
    let sandbox = sandbox();
    let agent =
        TestAgent::shell("true").spec("secrets: [API_KEY]").spec("env: { NOTE: quiet-word }");
    let folder = sandbox.agent(&agent);
    let words = ["run".as_ref(), folder.as_os_str()];
    drop(sandbox.errand(words).env("API_KEY", "hidden-value").run().ok());
    let document = sandbox.errand(["bom", "test-agent@1"]).run().ok().stdout();
    assert!(document.contains("API_KEY") && document.contains("errand:env:NOTE"), "{document}");
    assert!(!document.contains("hidden-value"), "{document}");
    assert!(!document.contains("quiet-word"), "{document}");
}

#[test]
fn the_inventory_of_a_folder_needs_no_registry() {
    let sandbox = sandbox();
    sandbox.agent(&skilled("true", "x"));
    assert_eq!(bom(&sandbox, "./reviewer")["version"], 1);
    assert!(!sandbox.registry().exists(), "looking creates nothing");
    drop(sandbox.errand(["bom", "./nothing"]).run().refuses(2, "agent_file_missing"));
    drop(sandbox.errand(["bom"]).run().exits(2));
}

#[test]
fn the_inventory_of_a_coordinator_names_the_agents_that_it_is_made_of() {
    let sandbox = sandbox();
    let says = |name: &str| TestAgent::shell("errand agent output 1\n").named(name);
    for name in ["writer", "checker"] {
        drop(sandbox.agent(&says(name)));
    }
    let registered = sandbox.agent(&says("reader"));
    let server = ErrandServer::start(&sandbox, &[]);
    drop(sandbox.errand(["--server", &server.url(), "push"]).arg(&registered).run().ok());
    drop(coordinator(&sandbox, "pair", "{ type: chain, agents: [../writer, ../checker] }"));
    let chain = "{ type: chain, agents: [reader, { agent: ../pair, name: both }, ../writer] }";
    let folder = coordinator(&sandbox, "team", chain);
    let run_id = start(&sandbox, &folder, &["--job", "1"]);
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "completed", "{record:#}");
    let document = bom(&sandbox, &run_id);
    let agents: Vec<_> = document["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["bom-ref"].as_str().unwrap().starts_with("agent:"))
        .map(|it| (it["bom-ref"].clone(), it["name"].clone(), it["version"].clone()))
        .collect();
    let expect = [
        ("agent:both", "pair"),
        ("agent:both/checker", "checker"),
        ("agent:both/writer", "writer"),
        ("agent:reader", "reader"),
        ("agent:writer", "writer"),
    ];
    assert_eq!(agents, expect.map(|(of, name)| (of.into(), name.into(), "1.0.0".into())));
    // Each digest is that of the agent's run.
    for run in crate::support::all(&sandbox).iter().filter(|run| run["member"]["depth"] == 1) {
        let of = format!("agent:{}", run["member"]["name"].as_str().unwrap());
        let digest = run["parcel_digest"].as_str().unwrap().trim_start_matches("sha256:");
        assert_eq!(component(&document, &of)["hashes"][0]["content"], digest, "{of}");
    }
    let below = json!({
        "ref": "agent:both", "dependsOn": ["agent:both/checker", "agent:both/writer"],
    });
    assert_eq!(document["dependencies"][1], below);
    // The folder equals the run's parcel until an agent changes.
    let words = ["bom", "--diff", &run_id, "./team"];
    let same = sandbox.errand(words).run().ok().stdout();
    assert!(same.ends_with("no difference\n"), "{same}");
    drop(sandbox.agent(&says("checker").file("new.txt", "new")));
    let differ = sandbox.errand(words).run().exits(1).stdout();
    for changed in ["~ agent:both ", "~ agent:both/checker "] {
        assert!(differ.contains(changed), "{differ}");
    }
    assert!(!differ.contains("agent:reader"), "{differ}");
    let there = sandbox.errand(["--server", &server.url(), "bom", &run_id]).run().ok().json();
    assert_eq!(there, document);
}
