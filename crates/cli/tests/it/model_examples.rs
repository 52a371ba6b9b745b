//! Examples that call models: their commands, with the scripted model of the examples.

use std::path::{Path, PathBuf};

use errand_testkit::Sandbox;
use serde_json::{Value, json};

use crate::support::{all, events, record, sandbox};

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
