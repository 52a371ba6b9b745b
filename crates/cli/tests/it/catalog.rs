//! The catalog: `errand apply`, `get`, `diff`, `delete`, and runs that use it.

use errand_testkit::postgres::Database;
use errand_testkit::{ErrandServer, LIMIT, Sandbox, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::support::{all, finish, log, sandbox, start};

const SKILL: &str = "---\nname: code-review\ndescription: Reviews a change\n---\n# Review\n\nRead the diff first.\n";

fn config(name: &str, content: &str) -> String {
    format!(
        "apiVersion: errand.dev/v1\nkind: Config\nmetadata: {{ name: {name} }}\nspec:\n  \
         content: \"{content}\"\n"
    )
}

/// Returns an agent that prints its brief.
fn reviewer() -> TestAgent {
    let script = "cat \"$ERRAND_BRIEF\" > \"$ERRAND_OUTPUT\"\ncat \"$ERRAND_SKILLS_DIR\"/*/scripts/* || true\n";
    TestAgent::shell(script)
        .named("reviewer")
        .spec("skills: [code-review]")
        .spec("configs: [style]")
}

/// Writes a skill and a config, and applies them.
fn apply_both(sandbox: &Sandbox) {
    sandbox.write("defs/code-review/SKILL.md", SKILL);
    sandbox.write("defs/code-review/scripts/lint.sh", "echo linted\n");
    sandbox.write("defs/style.yaml", config("style", "be kind"));
    let said = sandbox.errand(["apply", "-f", "defs"]).run().ok().stdout();
    assert_eq!(said, "skill/code-review created (version 1)\nconfig/style created (version 1)\n");
}

fn component<'a>(document: &'a Value, reference: &str) -> &'a Value {
    let all = document["components"].as_array().unwrap();
    all.iter().find(|component| component["bom-ref"] == reference).expect(reference)
}

#[test]
fn a_run_gets_and_pins_the_definitions_that_its_agent_names() {
    let sandbox = sandbox();
    apply_both(&sandbox);
    let folder = sandbox.agent(&reviewer());
    let run_id = start(&sandbox, &folder, &[]);
    let done = finish(&sandbox, &run_id);
    let brief = &done["output"];
    assert_eq!(brief["skills"], json!([{ "slug": "code-review", "instructions": SKILL }]));
    assert_eq!(brief["configs"], json!([{ "slug": "style", "content": "be kind" }]));
    assert!(log(&sandbox, &run_id).contains("echo linted"), "the skill has its files");
    let bom = sandbox.errand(["bom", &run_id]).run().ok().json();
    let of_config = component(&bom, "config:style");
    assert_eq!(of_config["version"], "1");
    let get = sandbox.errand(["get", "config", "style", "-o", "json"]).run().ok().json();
    let digest = get["digest"].as_str().unwrap().trim_start_matches("sha256:");
    assert_eq!(of_config["hashes"][0]["content"], digest);

    // Another attempt would get the same: versions are pinned when the run is admitted.
    sandbox.write("defs/style.yaml", config("style", "be brief"));
    drop(sandbox.errand(["apply", "-f", "defs"]).run().ok());
    let second = finish(&sandbox, &start(&sandbox, &folder, &[]));
    assert_eq!(second["output"]["configs"][0]["content"], "be brief");
    assert_eq!(second["bom"]["generation"], 2);
    drop(sandbox.errand(["delete", "config", "style"]).run().ok());
    let replay = ["replay", &run_id, "--policy", "strict"];
    drop(sandbox.errand(replay).run().ok());
    drop(sandbox.errand(["verify", &run_id]).run().ok());
}

#[test]
fn a_file_of_the_agent_comes_before_the_catalog() {
    let sandbox = sandbox();
    apply_both(&sandbox);
    let folder = sandbox.agent(&reviewer().file("configs/style.md", "own"));
    let done = finish(&sandbox, &start(&sandbox, &folder, &[]));
    assert_eq!(done["output"]["configs"][0]["content"], "own");
}

#[test]
fn a_missing_definition_is_named_before_anything_is_created() {
    let sandbox = sandbox();
    let folder = sandbox.agent(&reviewer());
    let folder = folder.to_str().unwrap();
    for words in
        [&["validate", folder][..], &["build", folder], &["run", folder], &["run", "-d", folder]]
    {
        let said = sandbox.errand(words).run().exits(2).stderr();
        assert!(said.contains("error[agent_file_invalid]"), "{said}");
        assert!(said.contains("the skill \"code-review\" is neither in"), "{said}");
        assert!(said.contains("the config \"style\" is neither in"), "{said}");
        assert!(!sandbox.registry().exists(), "something was created");
    }
    apply_both(&sandbox);
    drop(sandbox.errand(["delete", "skill", "code-review"]).run().ok());
    let said = sandbox.errand(["run", "-d", folder]).run().exits(2).stderr();
    assert!(said.contains("code-review"), "{said}");
    assert!(!said.contains("\"style\""), "{said}");
    assert_eq!(all(&sandbox), Vec::<Value>::new());
}

#[test]
fn files_are_applied_together_or_not_at_all() {
    let sandbox = sandbox();
    sandbox.write("defs/a.yaml", config("a", "a"));
    sandbox.write("defs/b.yaml", config("B", "b"));
    sandbox.write("defs/c.yaml", config("a", "again"));
    sandbox.write("defs/d.txt", "no manifest");
    let said = sandbox.errand(["apply", "-f", "defs"]).run().exits(2).stderr();
    assert!(said.contains("error[manifest_invalid]"), "{said}");
    assert!(said.contains("defs/b.yaml:3:19"), "{said}");
    assert!(said.contains("defs/c.yaml:3:19"), "{said}");
    assert!(said.contains("given twice"), "{said}");
    assert!(!sandbox.registry().exists(), "something was created");
    for (words, complaint) in [
        (&["apply", "-f", "nothing.yaml"][..], "cannot read"),
        (&["get", "robots"], "is no kind of definition"),
        (&["get", "skill", "x", "--version", "0"], "0"),
        (&["delete", "skill"], "NAME"),
    ] {
        let said = sandbox.errand(words).run();
        assert!(said.stderr().contains(complaint), "{words:?}: {}", said.describe());
    }
    sandbox.write("empty/x.txt", "");
    let said = sandbox.errand(["apply", "-f", "empty"]).run().exits(2).stderr();
    assert!(said.contains("has no manifest"), "{said}");
    let outside = sandbox.write("secret.txt", "s");
    sandbox.write("skill/SKILL.md", SKILL);
    std::os::unix::fs::symlink(outside, sandbox.path("skill/link")).unwrap();
    let said = sandbox.errand(["apply", "-f", "skill"]).run();
    assert!(said.stderr().contains("symbolic link"), "{}", said.describe());
}

#[test]
fn what_is_printed_can_be_applied_again() {
    let sandbox = sandbox();
    let text = "  indented\\n\\nlast: [line]\\n\\n\\n";
    sandbox.write("a.yaml", config("a", text));
    drop(sandbox.errand(["apply", "-f", "a.yaml"]).run().ok());
    apply_both(&sandbox);
    for kind in ["config", "skill"] {
        let printed = sandbox.errand(["get", kind, "-o", "yaml"]).run().ok().stdout();
        let said = sandbox.errand(["apply", "-f", "-"]).stdin(printed.clone()).run().ok().stdout();
        assert!(
            !said.is_empty() && said.lines().all(|it| it.contains("unchanged")),
            "{said}{printed}"
        );
    }
    drop(sandbox.errand(["diff", "-f", "a.yaml"]).run().ok());
    sandbox.write("a.yaml", config("a", "other"));
    let said = sandbox.errand(["diff", "-f", "a.yaml"]).run().exits(1).stdout();
    assert!(said.contains("\n+  content: \"other\""), "{said}");
    let said = sandbox.errand(["apply", "-f", "a.yaml", "--dry-run"]).run().ok().stdout();
    assert_eq!(said, "config/a changed (version 2, dry run)\n");
}

#[test]
fn a_repository_carries_definitions_in_files() {
    let sandbox = sandbox();
    sandbox.write(".errand/catalog/style.yaml", config("style", "from a file"));
    sandbox.write(".errand/catalog/review/SKILL.md", SKILL);
    let folder = sandbox.agent(&reviewer());
    let run_id = start(&sandbox, &folder, &[]);
    let done = finish(&sandbox, &run_id);
    assert_eq!(done["output"]["configs"][0]["content"], "from a file");
    let list = sandbox.errand(["get", "config", "--json"]).run().ok().json();
    assert_eq!(list["definitions"][0]["origin"], "file");
    assert_eq!(list["definitions"][0]["version"], Value::Null);
    sandbox.write("style.yaml", config("style", "applied"));
    let said = sandbox.errand(["apply", "-f", "style.yaml"]).run();
    assert!(said.stderr().contains("error[definition_read_only]"), "{}", said.describe());
    let said = sandbox.errand(["delete", "config", "style"]).run();
    assert!(said.stderr().contains("error[definition_read_only]"), "{}", said.describe());
    let ignored = sandbox.read(".errand/.gitignore");
    assert!(ignored.contains("!/catalog/"), "{ignored}");
}

/// Applies different contents of one name at the same time, and looks at the versions.
fn check_versions(sandbox: &Sandbox, place: &[&str]) {
    const WRITERS: usize = 6;
    let applied: Vec<_> = (0..WRITERS)
        .map(|number| {
            let name = format!("c{number}.yaml");
            sandbox.write(&name, config("shared", &format!("content {number}")));
            sandbox.errand(place).args(["apply", "--json", "-f", &name]).spawn()
        })
        .collect();
    let mut versions: Vec<u64> = applied
        .into_iter()
        .map(|running| running.wait().ok().json()["changes"][0]["version"].as_u64().unwrap())
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=WRITERS as u64).collect::<Vec<_>>());
    let mut contents: Vec<String> = versions
        .iter()
        .map(|version| {
            let version = version.to_string();
            let words = ["get", "config", "shared", "--json", "--version", &version];
            let found = sandbox.errand(place).args(words).run().ok().json();
            found["manifest"]["spec"]["content"].as_str().unwrap().to_owned()
        })
        .collect();
    contents.sort_unstable();
    let expected: Vec<_> = (0..WRITERS).map(|number| format!("content {number}")).collect();
    assert_eq!(contents, expected);
}

#[test]
fn appliers_at_the_same_time_lose_and_double_no_version() {
    let sandbox = sandbox();
    drop(sandbox.errand(["get", "config"]).run());
    check_versions(&sandbox, &["--server", "local"]);
}

#[test]
fn a_server_on_postgresql_has_the_same_catalog() {
    let (sandbox, database) = (sandbox(), Database::empty());
    drop(sandbox.errand(["migrate", "--database", &database.url()]).run().ok());
    let server = ErrandServer::start(&sandbox, &["--database", &database.url()]);
    let url = server.url();
    check_versions(&sandbox, &["--server", &url]);
    sandbox.write("defs/code-review/SKILL.md", SKILL);
    sandbox.write("defs/style.yaml", config("style", "be kind"));
    let folder = sandbox.agent(&reviewer());
    let refused = server.push(&folder);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert_eq!(refused.json()["code"], "brief_assembly_failed");
    drop(sandbox.errand(["--server", &url, "apply", "-f", "defs"]).run().ok());
    drop(server.push(&folder).expect(201));
    let body = json!({ "agent": "reviewer" });
    let done = server.post("/v1/runs/wait", &body).expect(200).json();
    assert_eq!(done["output"]["configs"][0]["content"], "be kind", "{done}");
    let said = sandbox.errand(["--server", &url, "delete", "config", "style"]).run();
    assert!(said.stderr().contains("error[definition_in_use]"), "{}", said.describe());
    assert!(said.stderr().contains("agent/reviewer@"), "{}", said.describe());
}

/// Returns the number of blobs of a registry.
fn blobs(sandbox: &Sandbox) -> usize {
    let shards = std::fs::read_dir(sandbox.registry().join("blobs")).into_iter().flatten();
    let folders = shards.flatten().filter(|shard| shard.path().is_dir());
    folders.map(|shard| std::fs::read_dir(shard.path()).map_or(0, Iterator::count)).sum()
}

#[test]
fn an_apply_that_is_killed_has_applied_all_or_nothing() {
    const MANIFESTS: usize = 40;
    let sandbox = sandbox();
    drop(sandbox.errand(["apply", "-f", "-"]).stdin(config("first", "one")).run().ok());
    for round in 0..6 {
        let manifests: Vec<String> = (0..MANIFESTS)
            .map(|at| config(&format!("c{at}"), &format!("round {round} of {at}")))
            .collect();
        sandbox.write("all.yaml", manifests.join("---\n"));
        let before = blobs(&sandbox);
        let applying = sandbox.errand(["apply", "-f", "all.yaml"]).spawn();
        // Between the first blob and the end of the commit.
        let enough = before + 1 + round * MANIFESTS / 6;
        wait_until("blobs of manifests", LIMIT, || blobs(&sandbox) >= enough);
        applying.kill();
        drop(applying.wait());
        let listed = sandbox.errand(["get", "config", "-o", "json"]).run().ok().json();
        let listed = listed["definitions"].as_array().unwrap();
        let texts = listed.iter().filter(|it| it["name"] != "first");
        let texts: Vec<&str> =
            texts.map(|it| it["manifest"]["spec"]["content"].as_str().unwrap()).collect();
        let new = format!("round {round} of ");
        let of_this_round = texts.iter().filter(|text| text.starts_with(&new)).count();
        assert!([0, MANIFESTS].contains(&of_this_round), "round {round}: {texts:#?}");
        drop(sandbox.errand(["apply", "-f", "all.yaml"]).run().ok());
        let audit = sandbox.errand(["audit", "ls", "-n", "1000", "--json"]).run().ok().json();
        let entries = audit["entries"].as_array().unwrap().len();
        assert_eq!(entries, 1 + (round + 1) * MANIFESTS, "an entry for each change, and no more");
    }
}

#[test]
fn the_audit_log_names_who_changed_the_catalog() {
    let sandbox = sandbox();
    apply_both(&sandbox);
    drop(sandbox.errand(["apply", "-f", "defs"]).run().ok());
    drop(sandbox.errand(["delete", "config", "style"]).run().ok());
    let audit = sandbox.errand(["audit", "ls", "--json"]).run().ok().json();
    let entries = audit["entries"].as_array().unwrap();
    let mut found: Vec<_> = entries
        .iter()
        .map(|it| (it["action"].as_str().unwrap(), it["object"].as_str().unwrap()))
        .collect();
    found.sort_unstable();
    let expect = [
        ("definition.applied", "config/style"),
        ("definition.applied", "skill/code-review"),
        ("definition.deleted", "config/style"),
    ];
    assert_eq!(found, expect);
    assert!(entries.iter().all(|it| it["by"]["name"].is_string()), "{entries:#?}");
}

#[test]
fn get_lists_what_has_commands_of_its_own() {
    let sandbox = sandbox();
    apply_both(&sandbox);
    for (word, member) in [("schedules", "schedules"), ("hook", "hooks"), ("keys", "keys")] {
        let listed = sandbox.errand(["get", word, "--json"]).run().ok().json();
        assert_eq!(listed[member], json!([]), "{listed:#}");
        let refused = sandbox.errand(["get", word, "name"]).run().exits(2).stderr();
        assert!(refused.contains("are listed here, and no more"), "{refused}");
    }
    let server = ErrandServer::start(&sandbox, &[]);
    drop(server.push(&sandbox.agent(&reviewer())).expect(201));
    let listed = sandbox.errand(["--server", &server.url(), "get", "agents"]).run().ok().stdout();
    assert!(listed.contains("reviewer"), "{listed}");
}
