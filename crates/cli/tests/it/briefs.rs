//! Briefs: parts that a caller gives, and the document that an agent gets at boot.

use std::fs;

use errand_testkit::{ErrandServer, Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::support::{all, finish, sandbox, start};

const SECRET: &str = "correct-horse-battery-4711";

/// Returns an agent whose output is its brief, as errand serves it.
fn reader() -> TestAgent {
    TestAgent::shell("errand agent brief > \"$ERRAND_OUTPUT\"").named("reader")
}

fn config(name: &str, content: &str) -> String {
    format!(
        "apiVersion: errand.dev/v1\nkind: Config\nmetadata: {{ name: {name} }}\nspec:\n  \
         content: \"{content}\"\n"
    )
}

/// Applies a config and a skill, each of one line.
fn apply_both(sandbox: &Sandbox) {
    sandbox.write("defs/review/SKILL.md", "---\nname: review\ndescription: d\n---\nRead it.\n");
    sandbox.write("defs/style.yaml", config("style", "be kind"));
    drop(sandbox.errand(["apply", "-f", "defs"]).run().ok());
}

#[test]
fn a_run_gets_the_parts_that_its_caller_gives() {
    let sandbox = sandbox();
    apply_both(&sandbox);
    let folder = sandbox.agent(&reader().spec("description: Reads."));
    sandbox.write("task.txt", "Review the PR for quality.");
    let given = [
        "--instructions",
        "@task.txt",
        "--context",
        "Repository: org/repo",
        "--skill",
        "review",
        "--config",
        "style",
        "--config",
        "style",
        "--job",
        "{\"pr\": 42}",
    ];
    let run_id = start(&sandbox, &folder, &given);
    let done = finish(&sandbox, &run_id);
    let brief = &done["output"];
    assert_eq!(brief["task_id"], run_id);
    assert_eq!(brief["task_name"], "reader");
    assert_eq!(brief["skills"][0]["slug"], "review");
    assert_eq!(brief["configs"], json!([{ "slug": "style", "content": "be kind" }]));
    assert_eq!(brief["instructions"], "Review the PR for quality.");
    assert_eq!(brief["context"], "Repository: org/repo");
    assert_eq!(brief["input"], json!({ "pr": 42 }));
    assert_eq!(brief["run"]["agent"]["name"], "reader");
    assert_eq!(brief["run"]["trigger"]["type"], "manual");

    let page = sandbox.errand(["brief", &run_id, "--json"]).run().ok().json();
    assert_eq!(page["brief"], *brief);
    let digest = page["digest"].as_str().unwrap().trim_start_matches("sha256:");
    assert_eq!(page["key"], format!("briefs/{run_id}/{digest}.json"));
    let shown = sandbox.errand(["brief", &run_id]).run().ok().stdout();
    assert!(shown.contains("--- instructions\nReview the PR for quality.\n"), "{shown}");
    let bom = sandbox.errand(["bom", &run_id]).run().ok().json();
    let parts = bom["components"].as_array().unwrap();
    for part in ["config:style", "skill:review"] {
        assert!(parts.iter().any(|it| it["bom-ref"] == part), "{part}: {bom:#}");
    }

    // A run that repeats it has the same parts, with versions that are current then.
    let again = sandbox.errand(["replay", "-d", &run_id, "--policy", "live"]).run().ok();
    let again = finish(&sandbox, again.stdout().trim());
    assert_eq!(again["output"]["instructions"], brief["instructions"]);
    assert_eq!(again["output"]["configs"], brief["configs"]);
}

#[test]
fn a_run_without_parts_stores_no_brief_and_shows_the_one_of_its_attempt() {
    let sandbox = sandbox();
    let folder = sandbox.agent(&reader().spec("description: Reads."));
    let run_id = start(&sandbox, &folder, &[]);
    let done = finish(&sandbox, &run_id);
    assert_eq!(done["output"]["instructions"], "Reads.");
    assert_eq!(done["output"]["context"], Value::Null);
    let page = sandbox.errand(["brief", &run_id, "--json"]).run().ok().json();
    assert_eq!(page["digest"], done["attempts"][0]["brief_digest"]);
    assert_eq!(page["brief"], done["output"]);
}

#[test]
fn a_secret_in_the_instructions_is_masked_everywhere() {
    let sandbox = sandbox();
    let agent = reader().spec("secrets: [API_KEY]");
    let folder = sandbox.agent(&agent);
    let instructions = format!("Use the key {SECRET} for it.");
    let run_id = sandbox
        .errand(["run", "-d", "--instructions", &instructions, "--context", &instructions])
        .arg(&folder)
        .env("API_KEY", SECRET)
        .run()
        .ok()
        .stdout();
    let done = finish(&sandbox, run_id.trim());
    let brief = &done["output"];
    assert_eq!(brief["secrets"], json!(["API_KEY"]));
    let text = brief["instructions"].as_str().unwrap();
    assert!(text.starts_with("Use the key ") && !text.contains(SECRET), "{text}");
    let found = sandbox.tool("grep", ["-rlaF", SECRET, ".errand"]).run();
    assert_eq!(found.stdout(), "", "no file of the registry holds the secret");
}

#[test]
fn a_missing_part_is_named_before_anything_is_created() {
    let sandbox = sandbox();
    let folder = sandbox.agent(&reader());
    let folder = folder.to_str().unwrap();
    for detached in [&["run", "-d"][..], &["run"]] {
        let words = [detached, &["--skill", "nope", folder]].concat();
        let said = sandbox.errand(words).run().exits(125).stderr();
        assert!(said.contains("error[brief_assembly_failed]"), "{said}");
        assert!(said.contains("the skill \"nope\" is neither in"), "{said}");
        assert!(!sandbox.registry().exists(), "something was created");
    }
    for (given, complaint) in [
        (["--instructions", ""], "--instructions is empty"),
        (["--context", "@none.txt"], "none.txt cannot be read"),
        (["--config", "../x"], "cannot be a name"),
    ] {
        let words = [&["run"][..], &given, &[folder]].concat();
        let said = sandbox.errand(words).run();
        assert!(said.stderr().contains(complaint), "{}", said.describe());
    }
    assert!(!sandbox.registry().exists(), "something was created");
}

#[test]
fn a_brief_that_is_too_large_is_refused_with_the_sizes_of_its_parts() {
    let sandbox = sandbox();
    let folder = sandbox.agent(&reader());
    sandbox.write("long.txt", "x".repeat(5 * 1024 * 1024));
    let given = ["run", "-d", "--instructions", "@long.txt", "--context", "@long.txt"];
    let said = sandbox.errand(given).arg(&folder).run().exits(2).stderr();
    assert!(said.contains("error[brief_too_large]"), "{said}");
    assert!(said.contains("context 5242882, instructions 5242882"), "{said}");
    assert_eq!(all(&sandbox), Vec::<Value>::new());
}

#[test]
fn a_long_input_is_in_the_brief_by_its_digest() {
    let sandbox = sandbox();
    let folder = sandbox.agent(&reader());
    sandbox.write("long.txt", "x".repeat(9 * 1024 * 1024));
    let done = finish(&sandbox, &start(&sandbox, &folder, &["--job", "@long.txt"]));
    assert_eq!(done["output"]["input"]["$blob"]["size_bytes"], 9 * 1024 * 1024, "{done:#}");
}

#[test]
fn an_agent_is_refused_a_brief_that_was_changed() {
    let sandbox = sandbox();
    let script = "ERRAND_BRIEF_KEY=briefs/x/$(printf '%064d' 0).json errand agent brief 2>&1";
    let folder = sandbox.agent(&TestAgent::shell(script));
    let said = sandbox.errand(["run", "--instructions", "go"]).arg(&folder).run();
    assert!(said.stdout().contains("error[brief_damaged]"), "{}", said.describe());

    let folder = sandbox.agent(&reader());
    let run_id = start(&sandbox, &folder, &["--instructions", "go"]);
    drop(finish(&sandbox, &run_id));
    let page = sandbox.errand(["brief", &run_id, "--json"]).run().ok().json();
    let hex = page["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let blob = sandbox.registry().join("blobs").join(&hex[..2]).join(&hex[2..]);
    assert!(blob.exists(), "{}", blob.display());
    fs::set_permissions(&blob, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(&blob, "{}").unwrap();
    let said = sandbox.errand(["brief", &run_id]).run();
    assert!(said.stderr().contains(&hex), "{}", said.describe());
}

#[test]
fn a_server_takes_the_parts_and_shows_the_brief() {
    let sandbox = sandbox();
    apply_both(&sandbox);
    let server = ErrandServer::start(&sandbox, &[]);
    drop(server.push(&sandbox.agent(&reader())).expect(201));
    let body = json!({
        "agent": "reader", "instructions": "Review.", "context": "PR #42", "skills": ["review"],
        "configs": ["style"],
    });
    let done = server.post("/v1/runs/wait", &body).expect(200).json();
    assert_eq!(done["output"]["instructions"], "Review.", "{done:#}");
    assert_eq!(done["output"]["skills"][0]["slug"], "review");
    let run_id = done["run_id"].as_str().unwrap();
    let page = server.get(&format!("/v1/runs/{run_id}/brief")).expect(200).json();
    assert_eq!(page["brief"], done["output"]);
    let url = server.url();
    let there = sandbox.errand(["--server", &url, "brief", run_id, "--json"]).run().ok().json();
    assert_eq!(there, page);
    let missing = json!({ "agent": "reader", "skills": ["nope"] });
    let refused = server.post("/v1/runs", &missing);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert_eq!(refused.json()["code"], "brief_assembly_failed");
}

#[test]
fn a_coordinator_is_refused_parts_that_no_agent_would_get() {
    let sandbox = sandbox();
    let reader = sandbox.agent(&reader());
    let name = reader.file_name().unwrap().to_str().unwrap();
    let team = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: team }\nspec:\n  \
                coordinator: { type: chain, agents: [../READER] }\n";
    sandbox.write("team/agent.yaml", team.replace("READER", name));
    let said =
        sandbox.errand(["run", "-d", "--instructions", "go", "team"]).run().exits(2).stderr();
    assert!(said.contains("error[agent_unsupported]"), "{said}");
    assert!(said.contains("for a coordinator"), "{said}");
    assert_eq!(all(&sandbox), Vec::<Value>::new());
}
