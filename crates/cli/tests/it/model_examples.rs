//! Examples that call models: their commands, with the scripted model of the examples.

use std::path::{Path, PathBuf};
use std::time::Duration;

use errand_testkit::{LIMIT, Sandbox, can_sandbox, wait_for};
use serde_json::{Value, json};

use crate::support::{self, all, events, record, sandbox};

/// Time limit of frameworks, whose start alone takes seconds on a busy machine.
const LONG_LIMIT: Duration = Duration::from_mins(3);

fn examples() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"))
}

/// Puts errand on the search path, for commands that start it.
fn with_errand() -> Sandbox {
    let mut sandbox = sandbox();
    let programs = Path::new(env!("CARGO_BIN_EXE_errand")).parent().unwrap();
    sandbox.set_env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()));
    sandbox
}

/// Returns the command that runs `words` with the scripted model of an example.
fn scripted<'s>(sandbox: &'s Sandbox, name: &str, words: &[&str]) -> errand_testkit::Command<'s> {
    let model = examples().join("scripted-model/scripted_model.py");
    let script = examples().join(name).join("script.py");
    sandbox.tool("/usr/bin/env", ["python3"]).arg(model).arg(script).arg("--").args(words)
}

/// Makes a repository whose last commit has two defects.
fn repository(sandbox: &Sandbox) {
    sandbox.git_init();
    sandbox.write("app.py", "def main():\n    return 1\n");
    sandbox.commit_all("first");
    sandbox.write("app.py", "def main():\n    breakpoint()\n    return eval(\"1\")\n");
    sandbox.commit_all("second");
}

#[test]
fn a_model_reviews_the_last_commit_and_the_run_has_its_bill() {
    let sandbox = with_errand();
    repository(&sandbox);
    let agent = examples().join("llm-review");
    let words = ["errand", "run", agent.to_str().unwrap()];
    let printed = scripted(&sandbox, "llm-review", &words).run().ok().stdout();
    for line in [
        "read_file {\"path\": \"app.py\"}: 56 characters",
        "high    app.py:2: a debugger was left behind",
        "medium  app.py:3: runs text as code",
        "2 findings. Do not merge it yet.",
    ] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
    let run = all(&sandbox).remove(0);
    assert_eq!((&run["status"], &run["counters"]["model_calls"]), (&"completed".into(), &json!(2)));
    assert!(run["usage"]["cost_usd"].as_f64().unwrap() > 0.0, "{run}");
    assert_eq!(sandbox.git(["status", "--porcelain"]), "");

    let run_id = run["run_id"].as_str().unwrap();
    let replayed = sandbox.errand(["replay", run_id, "--policy", "strict"]);
    let replayed = replayed.env("OPENAI_API_KEY", "unused").run().ok();
    assert!(replayed.stdout().contains("is identical with run"), "{}", replayed.describe());
}

#[test]
fn the_review_is_a_program_that_needs_no_agent_file() {
    let sandbox = with_errand();
    repository(&sandbox);
    let review = examples().join("llm-review/review.py");
    let words = [
        "errand",
        "run",
        "--provider",
        "openai=OPENAI_API_KEY",
        "--budget",
        "tokens_per_run=10",
        "--",
        "python3",
        "-B",
        review.to_str().unwrap(),
        "HEAD",
    ];
    let refused = scripted(&sandbox, "llm-review", &words).run().exits(1);
    assert!(refused.stderr().contains("review: the model answers 403"), "{}", refused.describe());
    let run = all(&sandbox).remove(0);
    let called: Vec<Value> = events(&sandbox, run["run_id"].as_str().unwrap(), "model.called");
    assert_eq!(called, Vec::<Value>::new(), "a refused call is not made");
    assert_eq!(record(&sandbox, run["run_id"].as_str().unwrap())["usage"]["input_tokens"], 0);
}

/// Waits until a command waits for a person; returns what it is about.
fn asked(sandbox: &Sandbox) -> String {
    wait_for("a command waits for a person", LIMIT, || {
        let listed = sandbox.errand(["approvals", "ls"]).run().ok().stdout();
        listed.contains("before_tool").then_some(listed)
    })
}

#[test]
fn commands_of_a_model_are_run_refused_or_asked_about_and_see_no_keys() {
    if !can_sandbox() {
        return;
    }
    let sandbox = with_errand();
    support::write_at_home(&sandbox, ".ssh/id_ed25519", "the private key");
    let agent = examples().join("guarded-shell");
    let words = ["errand", "run", agent.to_str().unwrap()];
    std::thread::scope(|scope| {
        let run = scope.spawn(|| scripted(&sandbox, "guarded-shell", &words).run().ok().stdout());
        let listed = asked(&sandbox);
        let line = r#"{"command":"rm primes.py"}: a person"#;
        assert!(listed.contains(line), "{listed}");
        let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
        drop(sandbox.errand(["reject", &run_id, "--comment", "keep it"]).run().ok());
        let printed = run.join().unwrap();
        for line in [
            "25\n[exit code 0]",
            "No such file or directory\n[exit code 1]",
            "refused: error[policy_denied]: the policy agent-file denies it: nothing leaves",
            "rejected it: keep it",
            "I was not allowed to remove the program.",
        ] {
            assert!(printed.contains(line), "{line} in {printed}");
        }
        assert!(!printed.contains("the private key"), "{printed}");
        let record = record(&sandbox, &run_id);
        assert_eq!(record["counters"]["tool_calls"], 3, "{record}");
    });
}

#[test]
fn a_team_of_langgraph_answers_with_tools_and_is_replayed_from_the_record() {
    let Some(python) = support::python_of("frameworks") else { return };
    let mut sandbox = with_errand();
    let programs = Path::new(env!("CARGO_BIN_EXE_errand")).parent().unwrap();
    let of_python = python.parent().unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", of_python.display(), programs.display());
    sandbox.set_env("PATH", path);
    let agent = examples().join("langgraph-team");
    let words = ["errand", "run", agent.to_str().unwrap()];
    let ran = scripted(&sandbox, "langgraph-team", &words).limit(LONG_LIMIT).run().ok();
    let expected = "researcher: library_search {'word': 'bridge'}\n";
    assert!(ran.stdout().starts_with(expected), "{}", ran.describe());
    assert!(ran.stdout().contains("had to be laid twice [bridge, council].\n"), "{}", ran.stdout());
    let run = all(&sandbox).remove(0);
    let counters = &run["counters"];
    assert_eq!(
        (&counters["model_calls"], &counters["tool_calls"]),
        (&json!(7), &json!(3)),
        "{run}"
    );

    let words = ["replay", run["run_id"].as_str().unwrap(), "--policy", "strict"];
    let replayed = sandbox.errand(words).env("OPENAI_API_KEY", "unused").limit(LONG_LIMIT);
    let replayed = replayed.run().ok().stdout();
    assert!(replayed.contains("is identical with run"), "{replayed}");
}
