//! Agents that name other agents: checked, packed, pushed.

use std::fs;

use errand_testkit::postgres::Database;
use errand_testkit::{ErrandServer, LIMIT, Sandbox, TestAgent, wait_until};
use serde_json::json;

use crate::support::{all, sandbox};

/// Writes an agent without a command.
fn coordinator(sandbox: &Sandbox, name: &str, spec: &str) {
    let yaml = format!(
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: {name}, version: 1.0.0 }}\nspec:\n  \
         coordinator:\n{spec}\n"
    );
    sandbox.write(format!("{name}/agent.yaml"), yaml);
}

fn said(sandbox: &Sandbox, words: &[&str], exit_code: i32) -> String {
    sandbox.errand(words).run().exits(exit_code).stderr()
}

#[test]
fn validate_shows_the_problems_of_all_files_at_their_places() {
    let sandbox = sandbox();
    sandbox.write(
        "broken/agent.yaml",
        "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: b }\nspec: { command: 5 }\n",
    );
    coordinator(
        &sandbox,
        "team",
        "    type: workflow\n    graph:\n      a: { agent: ../broken, outputs_to: [b] }\n      b: { agent: \
         ../nobody, outputs_to: [a, __end__] }\n      c:",
    );
    insta::assert_snapshot!(said(&sandbox, &["validate", "team"], 2), @r#"
    error[agent_file_invalid]: team/agent.yaml has 3 problems

    error: spec.coordinator.graph.a: the loop a -> b -> a has no bound
     --> team/agent.yaml:8:7
      |
    8 |       a: { agent: ../broken, outputs_to: [b] }
      |       ^
      = hint: write max_messages beside graph, or max_runs on one of these nodes

    error: spec.coordinator.graph.b.agent: there is no agent file at nobody
     --> team/agent.yaml:9:19
      |
    9 |       b: { agent: ../nobody, outputs_to: [a, __end__] }
      |                   ^
      = hint: name a folder with an agent.yaml, or the file itself

    error: spec.coordinator.graph.c: no message reaches "c"
      --> team/agent.yaml:10:7
       |
    10 |       c:
       |       ^
       = hint: name it in another node's outputs_to, or write start: c

    broken/agent.yaml has 1 problem

    error: spec.command: expected a list, found the number 5
     --> broken/agent.yaml:4:18
      |
    4 | spec: { command: 5 }
      |                  ^

    hint: `errand schema` prints what an agent file may say
    "#);
    let json = sandbox.errand(["validate", "team", "--json"]).run().exits(2).json();
    let places: Vec<_> = json["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["source"].as_str(), it["line"].as_u64().unwrap()))
        .collect();
    let broken = Some("broken/agent.yaml");
    assert_eq!(places, [(None, 8), (None, 9), (None, 10), (broken, 4)]);
    assert!(!sandbox.registry().exists(), "validating creates nothing");
}

#[test]
fn validate_asks_the_registry_for_registered_agents() {
    let sandbox = sandbox();
    coordinator(
        &sandbox,
        "team",
        "    { type: chain, agents: [one, two@1.0.0, { agent: one@2.0.0, name: next }] }",
    );
    drop(sandbox.errand(["validate", "team"]).run().ok());
    let server = ErrandServer::start(&sandbox, &[]);
    let folder = sandbox.agent(&TestAgent::shell("cat").named("one"));
    drop(server.push(&folder).expect(201));
    let url = server.url();
    let said = said(&sandbox, &["--server", &url, "validate", "team"], 2);
    assert!(
        said.contains("spec.coordinator.agents[1]: no agent two@1.0.0 is registered"),
        "{said}"
    );
    assert!(
        said.contains("spec.coordinator.agents[2].agent: no agent one@2.0.0 is registered"),
        "{said}"
    );
    assert!(!said.contains("agents[0]"), "{said}");
}

#[test]
fn a_run_is_refused_if_one_of_its_agents_could_not_run() {
    let sandbox = sandbox();
    drop(sandbox.agent(&TestAgent::shell("cat").named("good")));
    drop(sandbox.agent(&TestAgent::command("[no-such-program]").named("lost")));
    drop(sandbox.agent(&TestAgent::shell("cat").named("needy").spec("secrets: [NO_SUCH_SECRET]")));
    for (member, exit_code, code) in
        [("lost", 127, "command_not_found"), ("needy", 125, "secret_missing")]
    {
        // At any depth.
        coordinator(&sandbox, "inner", &format!("    {{ type: chain, agents: [../{member}] }}"));
        coordinator(&sandbox, "team", "    { type: fan_out, agents: [../good, ../inner] }");
        let said = said(&sandbox, &["run", "team"], exit_code);
        assert!(said.contains(code) && said.contains(member), "{said}");
        assert!(!sandbox.registry().exists(), "something was created");
    }
    coordinator(&sandbox, "team", "    { type: chain, agents: [nobody] }");
    let said = sandbox.errand(["run", "team"]).run();
    assert!(said.stderr().contains("error[agent_not_found]"), "{}", said.describe());
    assert!(said.stderr().contains("errand push"), "{}", said.describe());
    assert_eq!(all(&sandbox), Vec::<serde_json::Value>::new());
}

#[test]
fn validate_build_and_run_report_the_same_problems_at_once() {
    let sandbox = sandbox();
    let head = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: a }\nspec:\n";
    let promises = "  command: [cat]\n  policies: [no-external-send]\n  tier: terminal\n  \
                    dependencies: [{ agent: scuttlebot, service: irc, port: 6667 }]\n";
    let missing = "  command: [python3, summarise.py]\n  skills: [a, b]\n  configs: [c]\n";
    let cases = [
        (promises, "agent_file_invalid", ["agent.yaml:6:14", "agent.yaml:7:9", "agent.yaml:8:20"]),
        (missing, "agent_file_invalid", ["agent.yaml:5:22", "agent.yaml:6:15", "agent.yaml:7:13"]),
    ];
    for (spec, code, places) in cases {
        drop(sandbox.write("a/agent.yaml", format!("{head}{spec}")));
        let all = ["validate", "build", "run"].map(|verb| said(&sandbox, &[verb, "a"], 2));
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);
        assert!(all[0].contains(&format!("error[{code}]")), "{}", all[0]);
        for place in places {
            assert!(all[0].contains(place), "{place}: {}", all[0]);
        }
        assert!(!sandbox.registry().exists(), "something was created");
    }
}

#[test]
fn a_coordinator_as_a_service_is_refused() {
    let sandbox = sandbox();
    drop(sandbox.agent(&TestAgent::shell("cat").named("good")));
    coordinator(&sandbox, "team", "    { type: chain, agents: [../good] }");
    let said = said(&sandbox, &["serve", "team", "--schedule", "@hourly"], 2);
    assert!(said.contains("agent_unsupported"), "{said}");
}

#[test]
fn push_sends_what_an_agent_names_by_path() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    drop(sandbox.agent(&TestAgent::shell("tr a-z A-Z").named("upper")));
    drop(
        sandbox.agent(
            &TestAgent::shell("printf '%s!' \"$(cat)\"").named("loud").file("data/x.txt", "x"),
        ),
    );
    coordinator(&sandbox, "inner", "    { type: chain, agents: [../upper] }");
    coordinator(&sandbox, "team", "    { type: chain, agents: [../inner, ../loud, upper] }");
    let url = server.url();
    let pushed = sandbox.errand(["--server", &url, "push", "team", "--json"]).run().ok().json();
    let built = sandbox.errand(["build", "team"]).run().ok().stdout_line();
    assert_eq!(pushed["digest"], json!(built));
    // An agent named by path is not registered under a name.
    let agents = server.get("/v1/agents").expect(200).json();
    assert_eq!(agents["agents"].as_array().unwrap().len(), 1, "{agents}");

    let request = json!({ "agent": "team", "input": "hello" });
    let refused = server.post("/v1/runs/wait", &request).expect(404).json();
    assert_eq!(refused["code"], "agent_not_found");
    drop(sandbox.errand(["--server", &url, "push", "upper"]).run().ok());
    let run = server.post("/v1/runs/wait", &request).expect(200).json();
    assert_eq!(run["output"], "HELLO!", "{run}");
}

#[test]
fn workers_of_other_machines_find_what_a_coordinator_names() {
    let (here, elsewhere) = (sandbox(), sandbox());
    let database = Database::empty();
    drop(here.errand(["migrate", "--database", &database.url()]).run().ok());
    let url = database.url();
    let server = ErrandServer::start(&here, &["--database", &url]);
    let worker = elsewhere.errand(["worker", "--database", &url, "--label", "zone=far"]).spawn();
    worker.wait_for_stderr("slots");
    drop(
        here.agent(
            &TestAgent::shell("cat \"$ERRAND_AGENT_DIR/data.txt\"")
                .named("inside")
                .file("data.txt", "deep"),
        ),
    );
    let shout = TestAgent::shell("printf '%s!' \"$(cat)\"").named("loud");
    drop(here.agent(&shout));
    coordinator(&here, "inner", "    { type: chain, agents: [../inside] }");
    coordinator(&here, "team", "    { type: chain, agents: [../inner, ../loud] }");
    drop(here.errand(["--server", &server.url(), "push", "team"]).run().ok());
    let request = json!({ "agent": "team", "affinity": { "zone": "far" } });
    let run = server.post("/v1/runs/wait", &request).expect(200).json();
    assert_eq!(run["output"], "deep!", "{run:#}");
    worker.terminate();
    drop(worker.wait().ok());
}

#[test]
fn coordinators_of_a_watched_folder_are_registered_again_when_one_of_their_agents_changes() {
    let sandbox = sandbox();
    let agents = sandbox.path("agents");
    // Beside the folder that is watched.
    drop(sandbox.agent(&TestAgent::shell("echo 1").named("one")));
    fs::create_dir_all(agents.join("team")).unwrap();
    coordinator(&sandbox, "agents/team", "    { type: chain, agents: [../../one] }");
    let path = agents.join("team/agent.yaml");
    let yaml = fs::read_to_string(&path).unwrap();
    fs::write(&path, yaml.replace("name: agents/team", "name: team")).unwrap();
    let server = ErrandServer::start(&sandbox, &["--agents", agents.to_str().unwrap()]);
    let digest = || {
        let answer = server.get("/v1/agents/team");
        (answer.status == 200).then(|| answer.json()["digest"].clone())
    };
    wait_until("the coordinator is registered", LIMIT, || digest().is_some());
    let before = digest();
    drop(sandbox.agent(&TestAgent::shell("echo 2").named("one")));
    wait_until("it is registered anew", LIMIT, || digest() != before);
}

#[test]
fn the_inventory_of_a_coordinator_names_its_agents() {
    let sandbox = sandbox();
    drop(sandbox.agent(&TestAgent::shell("cat").named("good")));
    coordinator(&sandbox, "team", "    { type: chain, agents: [../good, other@1.0.0] }");
    let bom = sandbox.errand(["bom", "./team"]).run().ok().json();
    let text = bom.to_string();
    let digest = sandbox.errand(["build", "good"]).run().ok().stdout_line();
    assert!(text.contains("errand:coordinator:agent:good"), "{text}");
    assert!(text.contains(&digest), "{text}");
    assert!(text.contains("other@1.0.0"), "{text}");
}
