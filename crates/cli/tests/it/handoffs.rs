//! Handoffs: runs continued by another agent.

use errand_testkit::{ErrandServer, Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::support::{event_types, finish, sandbox, start};

/// Writes an agent beside others, so that they can name it by path.
fn beside(sandbox: &Sandbox, agent: &TestAgent) -> std::path::PathBuf {
    agent.write_below(&sandbox.repo().join("team"))
}

/// The reviewer's input and files, as its output.
const REVIEWER: &str = "cat > /dev/null\n\
    python3 - <<'EOF'\n\
    import json, os\n\
    brief = json.load(open(os.environ['ERRAND_BRIEF']))\n\
    print(json.dumps({'trigger': brief['run']['trigger'], 'input': brief['input'],\n\
      'file': open(os.environ['ERRAND_WORKSPACE'] + '/handoff/out/report.md').read(),\n\
      'session': brief['run']['session_id'], 'labels': brief['run']['labels']}))\n\
    EOF\n";

fn writer(script: &str) -> TestAgent {
    TestAgent::shell(script).named("writer").spec("handoffs: [../reviewer]")
}

const HANDS_OVER: &str = "mkdir -p out; echo draft > out/report.md\n\
    errand agent artifact out/report.md --name out/report.md > /dev/null\n\
    errand agent handoff --to reviewer --summary 'written, not proofread' \
      --artifact out/report.md '{\"chapter\": 3}' > next\n\
    echo handed\n";

fn next_of(record: &Value) -> String {
    record["handoff"]["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_handoff_passes_summary_artifacts_and_input_and_the_foreground_follows_it() {
    let sandbox = sandbox();
    beside(&sandbox, &TestAgent::shell(&format!("{REVIEWER}exit 7\n")).named("reviewer"));
    let writer = beside(&sandbox, &writer(HANDS_OVER));
    let args = ["run", "--json", "--label", "team=books", "--session", "s1"];
    let ran = sandbox.errand(args).args([&writer]).run().exits(7);
    assert!(ran.stderr().contains("handed"), "{}", ran.describe());
    let all: Vec<Value> =
        serde_json::from_str(&sandbox.errand(["ps", "-a", "--json"]).run().ok().stdout()).unwrap();
    let of = |name: &str| all.iter().find(|run| run["agent"]["name"] == name).unwrap();
    let (first, second) = (of("writer"), of("reviewer"));
    assert_eq!((&first["status"], &second["status"]), (&json!("completed"), &json!("failed")));
    assert_eq!(first["handoff"]["to"], "reviewer");
    assert_eq!(first["handoff"]["run_id"], second["run_id"]);
    assert_eq!((&first["session_id"], &second["session_id"]), (&json!("s1"), &json!("s1")));
    assert_eq!(second["labels"]["team"], "books");
    assert_eq!(second["input"], json!({ "chapter": 3 }));
    let trigger = &second["trigger"];
    assert_eq!((&trigger["type"], &trigger["source"]), (&json!("upstream"), &first["run_id"]));
    assert_eq!(trigger["payload"]["summary"], "written, not proofread");
    assert_eq!(trigger["payload"]["from"], "writer");
    let artifact = &trigger["payload"]["artifacts"][0];
    assert_eq!(artifact["name"], "out/report.md");
    assert_eq!(artifact["digest"], first["artifacts"][0]["digest"]);
    let printed = ran.stderr();
    let seen = printed.lines().find(|line| line.starts_with("{\"trigger\"")).unwrap();
    let seen: Value = serde_json::from_str(seen).unwrap();
    assert_eq!(seen["file"], "draft\n");
    assert_eq!((&seen["input"], &seen["session"]), (&json!({ "chapter": 3 }), &json!("s1")));
    assert_eq!(seen["trigger"], *trigger);
    let waited = sandbox.errand(["wait", first["run_id"].as_str().unwrap()]).run().ok();
    assert_eq!(waited.stdout().trim(), "0", "the first one did well");
    drop(sandbox.errand(["verify", first["run_id"].as_str().unwrap()]).run().ok());
    drop(sandbox.errand(["verify", second["run_id"].as_str().unwrap()]).run().ok());
}

#[test]
fn the_successor_of_a_detached_handoff_has_the_rest_of_the_limits() {
    let sandbox = sandbox();
    let script = "cat; errand agent emit model.called \
        '{\"provider\": \"p\", \"model\": \"m\", \"input_tokens\": 30, \"output_tokens\": 10}'\n";
    beside(&sandbox, &TestAgent::shell(script).named("reviewer"));
    let hands_over =
        format!("{script}errand agent handoff --to reviewer --summary s > /dev/null\n");
    let writer = beside(&sandbox, &writer(&hands_over));
    let more = ["--budget", "tokens_per_run=100", "--timeout", "1h", "--job", "the task"];
    let first = start(&sandbox, &writer, &more);
    let first = finish(&sandbox, &first);
    assert_eq!(first["status"], "completed", "{first:#}");
    let second = finish(&sandbox, &next_of(&first));
    assert_eq!(second["status"], "completed", "{second:#}");
    assert_eq!(second["input"], "the task", "what the first one was given");
    assert_eq!(second["output"], "the task");
    assert_eq!(second["detached"], true);
    assert_eq!(second["budgets"]["limits"][0]["allowed"], 60, "{:#}", second["budgets"]);
    let types = event_types(&sandbox, first["run_id"].as_str().unwrap());
    assert!(types.contains(&"handoff.requested".to_owned()), "{types:?}");
}

#[test]
fn a_failed_run_does_not_hand_over_and_a_later_attempt_keeps_the_handoff() {
    let sandbox = sandbox();
    beside(&sandbox, &TestAgent::shell("echo reviewed").named("reviewer"));
    let asks =
        "[ $ERRAND_ATTEMPT = 1 ] && errand agent handoff --to reviewer --summary s > /dev/null\n";
    let failing = writer(&format!("{asks}exit 1\n")).spec("retry_policy: { max_retries: 0 }");
    let path = beside(&sandbox, &failing);
    drop(sandbox.errand(["run"]).args([&path]).run().exits(1));
    let runs = sandbox.errand(["ps", "-a", "--json"]).run().ok().stdout();
    let runs: Vec<Value> = serde_json::from_str(&runs).unwrap();
    assert_eq!(runs.len(), 1, "{runs:#?}");
    let again = writer(&format!("{asks}[ $ERRAND_ATTEMPT = 2 ]\n"))
        .spec("retry_policy: { max_retries: 1, initial_delay: 1ms }");
    let path = beside(&sandbox, &again);
    let ran = sandbox.errand(["run"]).args([&path]).run().ok();
    assert!(ran.stdout().contains("reviewed"), "{}", ran.stdout());
}

#[test]
fn a_handoff_to_an_agent_that_the_agent_file_does_not_name_is_refused() {
    let sandbox = sandbox();
    beside(&sandbox, &TestAgent::shell("echo reviewed").named("reviewer"));
    let script = "errand agent handoff --to boss --summary s 2> why || echo $?\n\
        errand agent handoff --to reviewer --summary s --artifact none 2>> why || echo $?\n\
        errand agent handoff --to reviewer --summary ' ' 2>> why || echo $?; cat why\n";
    let path = beside(&sandbox, &writer(script));
    let ran = sandbox.errand(["run"]).args([&path]).run().ok();
    let printed = ran.stdout();
    assert!(printed.starts_with("2\n2\n2\n"), "{printed}");
    for part in
        ["handoff_invalid", "no \"boss\"", "it names reviewer", "no artifact \"none\"", "summary"]
    {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(!printed.contains("reviewed"));
}

#[test]
fn handoffs_on_a_server_go_through_the_queue_and_are_bounded() {
    let sandbox = sandbox();
    let server = ErrandServer::start(&sandbox, &[]);
    let there = |words: &[&str]| sandbox.errand(["--server", &server.url()]).args(words).run();
    let again = "errand agent handoff --to again --summary more > /dev/null 2> why && exit\n\
                 cat why >&2; exit 9\n";
    // Registered first, so that it can be named.
    for (version, agent) in [
        ("1", TestAgent::shell("true\n").named("again")),
        ("2", TestAgent::shell(again).named("again").spec("handoffs: [again]")),
    ] {
        let path = beside(&sandbox, &agent);
        let file = path.join("agent.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("version: 1.0.0", &format!("version: {version}.0.0"));
        std::fs::write(file, text).unwrap();
        drop(there(&["push", path.to_str().unwrap()]).ok());
    }
    let ran = there(&["run", "again"]).exits(9);
    assert!(ran.stderr().contains("too_many_handoffs"), "{}", ran.stderr());
    let runs: Vec<Value> =
        serde_json::from_str(&there(&["ps", "-a", "-n", "100", "--json"]).ok().stdout()).unwrap();
    assert_eq!(runs.len(), 17, "16 handoffs");
    let completed = runs.iter().filter(|run| run["status"] == "completed").count();
    assert_eq!(completed, 16);
}
