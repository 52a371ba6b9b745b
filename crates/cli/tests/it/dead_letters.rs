//! Dead letters: runs whose attempts are spent.

use errand_testkit::{Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::support::{assert_over, event_types, finish, record, run, sandbox};

/// Returns an agent that fetches, saves a checkpoint, and sends, which fails until `$HOME/mended`
/// exists. `$HOME/effects` counts the effects.
fn post() -> TestAgent {
    let script = "errand agent checkpoint --get\n\
                  errand agent step fetch -- sh -c 'echo fetch >> \"$HOME/effects\"; echo letters'\n\
                  echo kept > kept.txt\n\
                  errand agent checkpoint '{\"fetched\": 3}'\n\
                  test -e kept.txt\n\
                  errand agent step send -- sh -c 'test -e \"$HOME/mended\" || { echo no route >&2; exit 4; }; echo send >> \"$HOME/effects\"'\n\
                  errand agent output '{\"sent\": 3}'\n";
    let policy = "retry_policy: { max_retries: 1, backoff: none }";
    TestAgent::shell(script).named("post").spec(policy)
}

/// Runs an agent until it is a dead letter; returns the run's id.
fn die(sandbox: &Sandbox, agent: &TestAgent) -> String {
    let path = sandbox.agent(agent);
    drop(run(sandbox, &path, &["--job", "{\"to\": \"ada\"}"]).run().exits(4));
    let listed = sandbox.errand(["dlq", "ls", "--json"]).run().ok().json();
    listed[0]["run_id"].as_str().unwrap().to_owned()
}

fn mend(sandbox: &Sandbox) {
    std::fs::write(sandbox.root().join("home/mended"), "").unwrap();
}

fn effects(sandbox: &Sandbox) -> Vec<String> {
    let path = sandbox.root().join("home/effects");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn open_letters(sandbox: &Sandbox) -> Vec<Value> {
    let listed = sandbox.errand(["dlq", "ls", "--json"]).run().ok().json();
    listed.as_array().unwrap().clone()
}

#[test]
fn a_dead_letter_keeps_input_checkpoint_errors_steps_and_log() {
    let sandbox = sandbox();
    assert_eq!(sandbox.errand(["dlq", "ls", "--json"]).run().ok().json(), json!([]));
    let dead = die(&sandbox, &post());
    let letter = open_letters(&sandbox).remove(0);
    assert_eq!(letter["agent"], "post");
    assert_eq!(letter["attempts"], 2);
    assert_eq!(letter["state"], "open");
    assert_eq!(letter["error"]["code"], "exit_nonzero");
    assert_eq!(letter["error"]["step"], "send", "{letter:#}");
    let table = sandbox.errand(["dlq", "ls"]).run().ok().stdout();
    assert!(table.contains(&dead) && table.contains("exit_nonzero"), "{table}");
    for (filter, count) in [("post", 1), ("other", 0)] {
        let listed = sandbox.errand(["dlq", "ls", "--json", "--agent", filter]).run().ok().json();
        assert_eq!(listed.as_array().unwrap().len(), count, "{filter}");
    }
    let whole = sandbox.errand(["dlq", "show", &dead, "--json"]).run().ok().json();
    assert_eq!(whole["input"], json!({ "to": "ada" }));
    assert_eq!(whole["checkpoint"], json!({ "fetched": 3 }));
    assert_eq!(whole["completed_steps"], json!(["fetch"]));
    assert_eq!(whole["attempt_history"].as_array().unwrap().len(), 2);
    for attempt in whole["attempt_history"].as_array().unwrap() {
        assert_eq!(attempt["error"]["code"], "exit_nonzero");
        assert!(attempt["stopped_at_ms"].is_i64(), "{attempt:#}");
    }
    let tail = whole["log_tail"].to_string();
    assert!(tail.contains("no route"), "{tail}");
    let text = sandbox.errand(["dlq", "show", &dead]).run().ok().stdout();
    for part in ["no route", "\"fetched\":3", "exit_nonzero", "unfinished: send"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    assert_eq!(open_letters(&sandbox), [letter]);
}

#[test]
fn a_redriven_run_continues_from_the_checkpoint_and_repeats_no_completed_step() {
    let sandbox = sandbox();
    let dead = die(&sandbox, &post());
    assert_eq!(effects(&sandbox), ["fetch"]);
    mend(&sandbox);
    let new = sandbox.errand(["dlq", "redrive", &dead]).run().ok().stdout_line();
    let done = finish(&sandbox, &new);
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(done["output"], json!({ "sent": 3 }));
    assert_eq!(done["input"], json!({ "to": "ada" }));
    assert_eq!(done["origin_run_id"], dead);
    assert_eq!(effects(&sandbox), ["fetch", "send"]);
    let log = sandbox.errand(["logs", &new]).run().ok().stdout();
    assert_eq!(log, "{\"fetched\":3}\nletters\n");
    let types = event_types(&sandbox, &new);
    assert_eq!(types[..3], ["run.created", "step.inherited", "checkpoint.inherited"]);
    assert_over(&sandbox, &new);
    // The dead letter is off the list, and cannot be redriven twice by accident.
    assert_eq!(open_letters(&sandbox), [] as [Value; 0]);
    let all = sandbox.errand(["dlq", "ls", "-a", "--json"]).run().ok().json();
    assert_eq!((&all[0]["state"], &all[0]["redriven_as"]), (&json!("redriven"), &json!(new)));
    let refused =
        sandbox.errand(["dlq", "redrive", &dead]).run().refuses(125, "dead_letter_settled");
    assert!(refused.stderr().contains(&new), "{}", refused.describe());
    assert_eq!(crate::support::all(&sandbox).len(), 2);
    let again = sandbox.errand(["dlq", "redrive", "--again", &dead]).run().ok().stdout_line();
    assert_eq!(finish(&sandbox, &again)["status"], "completed");
    assert_eq!(effects(&sandbox), ["fetch", "send", "send"]);
}

#[test]
fn a_redrive_from_the_start_does_everything_again() {
    let sandbox = sandbox();
    let dead = die(&sandbox, &post());
    mend(&sandbox);
    let words = ["dlq", "redrive", "--from-start", &dead];
    let new = sandbox.errand(words).run().ok().stdout_line();
    assert_eq!(finish(&sandbox, &new)["status"], "completed");
    assert_eq!(effects(&sandbox), ["fetch", "fetch", "send"]);
    assert!(!event_types(&sandbox, &new).contains(&"step.inherited".to_owned()));
}

#[test]
fn inherited_steps_outlive_the_run_they_come_from() {
    let sandbox = sandbox();
    let long = "import os, subprocess\n\
                errand = lambda *a, **k: subprocess.run(['errand', 'agent', *a], check=True, **k)\n\
                big = 'x' * 100_000\n\
                out = subprocess.run(['errand', 'agent', 'step', 'big', '--', 'sh', '-c', 'echo once >> \"$HOME/effects\"; head -c 100000 /dev/zero | tr \"\\\\0\" x'], check=True, stdout=subprocess.PIPE, text=True).stdout\n\
                assert out == big\n\
                errand('checkpoint', '-', input='\"' + big + '\"', text=True)\n\
                assert os.path.exists(os.environ['HOME'] + '/mended')\n";
    let policy = "retry_policy: { max_retries: 1, backoff: none }";
    let agent = sandbox.agent(&TestAgent::python(long).named("big").spec(policy));
    drop(run(&sandbox, &agent, &[]).run().exits(1));
    let dead = open_letters(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    let first = sandbox.errand(["dlq", "redrive", &dead]).run().ok().stdout_line();
    assert_eq!(finish(&sandbox, &first)["status"], "failed");
    drop(sandbox.errand(["rm", &dead]).run().ok());
    mend(&sandbox);
    drop(sandbox.errand(["retry", &first]).run().ok());
    let done = crate::support::all(&sandbox).remove(0);
    assert_eq!((&done["status"], &done["origin_run_id"]), (&json!("completed"), &json!(first)));
    assert_eq!(effects(&sandbox), ["once"]);
}

#[test]
fn all_dead_letters_of_an_agent_are_redriven_or_discarded_at_once() {
    let sandbox = sandbox();
    let others = post().named("others");
    let dead = [die(&sandbox, &post()), die(&sandbox, &post()), die(&sandbox, &others)];
    mend(&sandbox);
    let words = ["dlq", "redrive", "--all", "--agent", "post"];
    let new = sandbox.errand(words).run().ok().stdout();
    let new: Vec<_> = new.lines().collect();
    assert_eq!(new.len(), 2);
    for (run_id, origin) in new.iter().zip(&dead) {
        let done = finish(&sandbox, run_id);
        assert_eq!(
            (&done["status"], &done["origin_run_id"]),
            (&json!("completed"), &json!(origin))
        );
    }
    let left = sandbox.errand(["dlq", "ls", "-q"]).run().ok().stdout();
    assert_eq!(left.lines().collect::<Vec<_>>(), [&dead[2]]);
    let discarded = sandbox.errand(["dlq", "discard", "--all"]).run().ok().stdout_line();
    assert_eq!(discarded, dead[2]);
    assert_eq!(open_letters(&sandbox), [] as [Value; 0]);
    assert_eq!(record(&sandbox, &dead[2])["status"], "failed", "the record is kept");
    drop(sandbox.errand(["dlq", "discard", &dead[2]]).run().refuses(125, "dead_letter_settled"));
    drop(sandbox.errand(["dlq", "redrive", &dead[2]]).run().refuses(125, "dead_letter_settled"));
    drop(sandbox.errand(["dlq", "show", new[0]]).run().refuses(125, "dead_letter_not_found"));
    drop(sandbox.errand(["dlq", "redrive"]).run().exits(2));
}

#[test]
fn an_open_dead_letter_is_not_pruned() {
    let sandbox = sandbox();
    let dead = die(&sandbox, &post());
    let pruned = sandbox.errand(["prune"]).run().ok();
    assert_eq!(pruned.stdout(), "", "{}", pruned.describe());
    assert!(pruned.stderr().contains("1 dead letter"), "{}", pruned.describe());
    drop(sandbox.errand(["dlq", "discard", &dead]).run().ok());
    assert_eq!(sandbox.errand(["prune"]).run().ok().stdout_line(), dead);
}

#[test]
fn a_redrive_of_many_dead_letters_limits_concurrent_runs() {
    let sandbox = sandbox();
    let script = "test -e \"$HOME/mended\" || exit 4\n\
                  echo + >> \"$HOME/effects\"\nsleep 0.3\necho - >> \"$HOME/effects\"\n";
    let policy = "retry_policy: { max_retries: 1, backoff: none }";
    let path = sandbox.agent(&TestAgent::shell(script).named("post").spec(policy));
    for _ in 0..7 {
        drop(run(&sandbox, &path, &[]).run().exits(4));
    }
    mend(&sandbox);
    let redriven = sandbox.errand(["dlq", "redrive", "--all", "--at-once", "2"]).run().ok();
    assert!(redriven.stderr().contains("7 dead letters: 2 at once"), "{}", redriven.describe());
    let runs: Vec<String> = redriven.stdout().lines().map(str::to_owned).collect();
    assert_eq!(runs.len(), 7);
    for run_id in &runs {
        assert_eq!(finish(&sandbox, run_id)["status"], "completed");
    }
    let (mut under_way, mut most) = (0, 0);
    for effect in effects(&sandbox) {
        under_way += if effect == "+" { 1 } else { -1 };
        most = most.max(under_way);
    }
    assert_eq!((under_way, most), (0, 2));
    assert_eq!(open_letters(&sandbox), Vec::<Value>::new());
}
