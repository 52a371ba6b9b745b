//! Forks and retries: new runs that begin where another run was.

use errand_testkit::{Sandbox, TestAgent};
use serde_json::json;

use crate::support::{all, assert_over, event_types, record, run, sandbox, sleeper, start_ready};

/// Returns an agent with five steps, each of which adds a line to `$HOME/effects`, and a checkpoint
/// after each.
fn five() -> TestAgent {
    let script = "errand agent checkpoint --get\n\
                  for key in a b c d e; do\n\
                  errand agent step $key -- sh -c \"echo $key >> \\\"\\$HOME/effects\\\"; echo did $key\"\n\
                  echo $key >> work.txt\n\
                  errand agent checkpoint \"{\\\"done\\\": \\\"$key\\\"}\"\n\
                  done\n\
                  cat \"$ERRAND_INPUT\"; echo\n";
    TestAgent::shell(script).named("five")
}

fn effects(sandbox: &Sandbox) -> String {
    let path = sandbox.root().join("home/effects");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    drop(std::fs::remove_file(path));
    text.split_whitespace().collect()
}

#[test]
fn a_fork_repeats_its_step_and_all_later_ones() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&five());
    drop(run(&sandbox, &agent, &["--job", "one"]).run().ok());
    let origin = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(effects(&sandbox), "abcde");
    for (key, rest, saved) in [
        ("a", "abcde", "null".to_owned()),
        ("b", "bcde", "{\"done\":\"a\"}".to_owned()),
        ("c", "cde", "{\"done\":\"b\"}".to_owned()),
        ("d", "de", "{\"done\":\"c\"}".to_owned()),
        ("e", "e", "{\"done\":\"d\"}".to_owned()),
    ] {
        let forked = sandbox.errand(["fork", &origin, "--from-step", key]).run().ok();
        assert_eq!(effects(&sandbox), rest, "from {key}");
        let expected = format!("{saved}\ndid a\ndid b\ndid c\ndid d\ndid e\none\n");
        assert_eq!(forked.stdout(), expected, "from {key}");
        let new = all(&sandbox).remove(0);
        assert_eq!((&new["status"], &new["origin_run_id"]), (&json!("completed"), &json!(origin)));
        let run_id = new["run_id"].as_str().unwrap();
        let inherited = event_types(&sandbox, run_id);
        let count = inherited.iter().filter(|kind| *kind == "step.inherited").count();
        assert_eq!(count, 5 - rest.len());
        assert_over(&sandbox, run_id);
    }
    // A fork of a fork, which needs neither of the two old runs.
    let fork = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    drop(sandbox.errand(["rm", &origin]).run().ok());
    drop(sandbox.errand(["fork", &fork, "--from-step", "c"]).run().ok());
    assert_eq!(effects(&sandbox), "cde");
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    let words = ["fork", &fork, "--from-step", "e", "-d", "--input", "two"];
    let new = sandbox.errand(words).run().ok().stdout_line();
    drop(sandbox.errand(["wait", &new]).run().ok());
    assert_eq!(effects(&sandbox), "e");
    assert_eq!(record(&sandbox, &new)["input"], "two");
}

#[test]
fn a_fork_from_an_unknown_step_lists_the_known_ones() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&five());
    drop(run(&sandbox, &agent, &[]).run().ok());
    let origin = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    let refused = sandbox.errand(["fork", &origin, "--from-step", "z"]).run();
    let refused = refused.refuses(125, "step_not_found");
    assert!(refused.stderr().contains(r#""a", "b", "c", "d", "e""#), "{}", refused.describe());
    assert_eq!(all(&sandbox).len(), 1, "nothing was created");
}

#[test]
fn a_retry_continues_where_the_run_failed() {
    let sandbox = sandbox();
    let script = "errand agent step one -- sh -c 'echo one >> \"$HOME/effects\"; mkdir sub; echo made > sub/made; ln -s made sub/link' > /dev/null\n\
                  errand agent step two -- sh -c 'echo two >> \"$HOME/effects\"; test -e \"$HOME/mended\"'\n\
                  cat sub/link\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    drop(run(&sandbox, &agent, &[]).run().exits(1));
    let failed = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(effects(&sandbox), "onetwo");
    std::fs::write(sandbox.root().join("home/mended"), "").unwrap();
    assert_eq!(sandbox.errand(["retry", &failed]).run().ok().stdout_line(), "made");
    assert_eq!(effects(&sandbox), "two");
    let done = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    drop(sandbox.errand(["retry", &done]).run().refuses(125, "run_not_retryable"));
    assert_eq!(all(&sandbox).len(), 2);
}

#[test]
fn a_live_run_is_not_retried_and_a_stopped_one_is() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let run_id = start_ready(&sandbox, &agent);
    drop(sandbox.errand(["retry", &run_id]).run().refuses(125, "run_live"));
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
    let new = sandbox.errand(["retry", "-d", &run_id]).run().ok().stdout_line();
    assert_eq!(record(&sandbox, &new)["origin_run_id"], run_id);
    drop(sandbox.errand(["stop", "--force", &new]).run().ok());
}

#[test]
fn a_step_key_used_for_another_command_is_refused() {
    let sandbox = sandbox();
    let script = "errand agent step pay -- sh -c 'echo paid >> \"$HOME/effects\"'\n\
                  errand agent step pay -- sh -c 'echo paid twice >> \"$HOME/effects\"' || echo \"refused $?\"\n\
                  errand agent step pay -- sh -c 'echo paid >> \"$HOME/effects\"'\n\
                  errand agent step note -- echo \"$ERRAND_RUN_ID\"\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let output = run(&sandbox, &agent, &[]).run().ok();
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(output.stdout(), format!("refused 125\n{run_id}\n"));
    let said = output.stderr();
    for part in ["step_changed", "\"pay\"", "echo paid >>", "echo paid twice >>"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(effects(&sandbox), "paid");
    let types = event_types(&sandbox, &run_id);
    assert_eq!(types.iter().filter(|kind| *kind == "step.started").count(), 2);
}
