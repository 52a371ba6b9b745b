//! Replays of a run: inspect, strict and live.

use std::path::{Path, PathBuf};

use errand_testkit::{Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::support::{all, assert_over, event_types, run, sandbox};

/// Returns a script with everything that a replay compares; its steps add lines to `$HOME/effects`.
fn script(greeting: &str) -> String {
    format!(
        "echo \"run $ERRAND_RUN_ID begins\"\n\
         now=$(errand agent step clock -- sh -c 'echo clock >> \"$HOME/effects\"; date +%N')\n\
         echo \"at $now\" >&2\n\
         errand agent step dice -- sh -c 'echo dice >> \"$HOME/effects\"; head -c 4 /dev/urandom | od -An -tx4'\n\
         errand agent emit tool.called '{{\"name\": \"search\", \"arguments\": {{\"q\": \"x\"}}, \"side_effect\": \"read_only\"}}'\n\
         errand agent emit model.called '{{\"model\": \"gpt-4o-mini\", \"provider\": \"openai\", \"input_tokens\": 10, \"output_tokens\": 2}}'\n\
         errand agent checkpoint \"{{\\\"at\\\": \\\"$now\\\"}}\"\n\
         echo \"report of $ERRAND_RUN_ID\" > report.md\n\
         errand agent artifact report.md\n\
         echo \"{greeting}\"\n\
         errand agent output \"{{\\\"clock\\\": \\\"$now\\\", \\\"run\\\": \\\"$ERRAND_RUN_ID\\\"}}\"\n"
    )
}

fn agent(text: &str) -> TestAgent {
    TestAgent::shell(text).named("oracle")
}

/// Runs an agent once; returns its folder and the run's id.
fn recorded(sandbox: &Sandbox, agent: &TestAgent) -> (PathBuf, String) {
    let path = sandbox.agent(agent);
    drop(run(sandbox, &path, &["--job", "ask"]).run().ok());
    (path, all(sandbox)[0]["run_id"].as_str().unwrap().to_owned())
}

fn effects(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.root().join("home/effects")).unwrap_or_default()
}

/// Replays a run strictly with an agent; returns the result, and checks that it had no effects.
fn strict(sandbox: &Sandbox, run_id: &str, agent: Option<&Path>) -> Value {
    let before = effects(sandbox);
    let words = ["replay", run_id, "--policy", "strict", "--json"];
    let mut command = sandbox.errand(words);
    if let Some(agent) = agent {
        command = command.arg("--agent").arg(agent);
    }
    let output = command.run();
    let result = output.json();
    let code = if result["identical"] == true { 0 } else { 1 };
    assert_eq!(output.code, Some(code), "{}", output.describe());
    assert_eq!(effects(sandbox), before, "a strict replay never executes a step's command");
    let replay = result["replay_run_id"].as_str().unwrap();
    assert_over(sandbox, replay);
    result
}

#[test]
fn a_deterministic_agent_is_replayed_byte_for_byte() {
    let sandbox = sandbox();
    let (_, run_id) = recorded(&sandbox, &agent(&script("hello")));
    assert_eq!(effects(&sandbox), "clock\ndice\n");
    let result = strict(&sandbox, &run_id, None);
    assert_eq!(result["identical"], true, "{result:#}");
    assert_eq!(result["run_id"], run_id);
    assert_eq!(result["divergence"], Value::Null);
    let replay = all(&sandbox).remove(0);
    assert_eq!(
        (&replay["status"], &replay["origin_run_id"]),
        (&json!("completed"), &json!(run_id))
    );
    assert_eq!(replay["usage"]["input_tokens"], 0, "a replay spends nothing");
    let told = sandbox.errand(["replay", &run_id, "--policy", "strict"]).run().ok().stdout();
    assert!(told.contains("identical") && told.contains("2 steps served"), "{told}");
    // Again after a rebuild of the registry's database.
    drop(sandbox.errand(["registry", "rebuild"]).run().ok());
    assert_eq!(strict(&sandbox, &run_id, None)["identical"], true);
}

#[test]
fn a_replay_shows_a_changed_line_with_both_sides() {
    let sandbox = sandbox();
    let text = script("hello");
    let (_, run_id) = recorded(&sandbox, &agent(&text));
    let changes = [
        ("echo \"hello\"", "echo \"hullo\"", "stdout", "hello", "hullo"),
        ("date +%N", "date +%s", "command", "date +%N", "date +%s"),
        ("step dice", "step cards", "step", "\"dice\"", "\"cards\""),
        ("\"q\": \"x\"", "\"q\": \"y\"", "event tool.called", "\"x\"", "\"y\""),
        ("\"input_tokens\": 10", "\"input_tokens\": 11", "event model.called", "10", "11"),
        ("{\\\"at\\\"", "{\\\"to\\\"", "checkpoint", "\"at\"", "\"to\""),
        ("report of", "Report of", "artifact", "report.md: sha256", "report.md: sha256"),
        ("{\\\"clock\\\"", "{\\\"time\\\"", "output", "\"clock\"", "\"time\""),
        ("echo \"at", "echo \"AT", "stderr", "at ", "AT "),
    ];
    for (from, to, what, expected, found) in changes {
        assert!(text.contains(from), "{from}");
        let changed = agent(&text.replace(from, to)).named("changed");
        let result = strict(&sandbox, &run_id, Some(&sandbox.agent(&changed)));
        let diverged = &result["divergence"];
        assert_eq!(diverged["what"], what, "{result:#}");
        assert!(diverged["expected"].as_str().unwrap().contains(expected), "{result:#}");
        assert!(diverged["found"].as_str().unwrap().contains(found), "{result:#}");
        let replay = all(&sandbox).remove(0);
        assert_eq!(replay["status"], "failed");
        assert_eq!(replay["last_error"]["code"], "replay_diverged", "{replay:#}");
        let types = event_types(&sandbox, replay["run_id"].as_str().unwrap());
        assert_eq!(types.iter().filter(|kind| *kind == "replay.diverged").count(), 1);
    }
    let changed = sandbox.agent(&agent(&text.replace("hello", "hullo")).named("changed"));
    let words = ["replay", &run_id, "--policy", "strict", "--agent"];
    let told = sandbox.errand(words).arg(&changed).run().exits(1).stdout();
    assert!(told.contains("- hello\n") && told.contains("+ hullo\n"), "{told}");
}

#[test]
fn a_replay_reports_a_recorded_event_that_is_missing() {
    let sandbox = sandbox();
    let text = script("hello");
    let (_, run_id) = recorded(&sandbox, &agent(&text));
    for (begins, what) in [
        ("errand agent step dice", "step"),
        ("errand agent emit model.called", "event model.called"),
        ("errand agent checkpoint", "checkpoint"),
        ("errand agent artifact", "artifact"),
        ("errand agent output", "output"),
    ] {
        let less: Vec<_> = text.lines().filter(|line| !line.starts_with(begins)).collect();
        let changed = agent(&(less.join("\n") + "\n")).named("changed");
        let result = strict(&sandbox, &run_id, Some(&sandbox.agent(&changed)));
        assert_eq!(result["divergence"]["what"], what, "{result:#}");
        assert!(result["divergence"]["expected"].is_string(), "{result:#}");
    }
    let early = sandbox.agent(&agent(&format!("{text}exit 3\n")).named("changed"));
    let result = strict(&sandbox, &run_id, Some(&early));
    assert_eq!(result["divergence"]["what"], "exit code", "{result:#}");
    assert_eq!(result["divergence"]["found"].as_str().unwrap().lines().next(), Some("exit code 3"));
}

#[test]
fn a_replay_serves_a_recorded_step_failure() {
    let sandbox = sandbox();
    let text = "errand agent step try -- sh -c 'echo try >> \"$HOME/effects\"; exit 7' || echo \"failed with $?\"\n\
                errand agent step again -- sh -c 'echo again >> \"$HOME/effects\"; test $(grep -c again \"$HOME/effects\") = 2' || echo once\n\
                errand agent step again -- sh -c 'echo again >> \"$HOME/effects\"; test $(grep -c again \"$HOME/effects\") = 2' && echo twice\n\
                errand agent step slow --timeout 100ms -- sleep 60 || echo \"slow $?\"\n\
                errand agent step shot -- sh -c 'kill -KILL $$' || echo \"shot $?\"\n\
                exit 9\n";
    let path = sandbox.agent(&agent(text));
    let output = run(&sandbox, &path, &[]).run().exits(9).stdout();
    assert_eq!(output, "failed with 7\nonce\ntwice\nslow 124\nshot 137\n");
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    let result = strict(&sandbox, &run_id, None);
    assert_eq!(result["identical"], true, "{result:#}");
    let replay = result["replay_run_id"].as_str().unwrap();
    assert_eq!(sandbox.errand(["logs", replay]).run().ok().stdout(), output);
}

#[test]
fn a_run_of_several_attempts_is_replayed_by_one() {
    let sandbox = sandbox();
    let text = "errand agent step one -- sh -c 'echo one >> \"$HOME/effects\"'\n\
                errand agent checkpoint '{\"after\": 1}'\n\
                errand agent emit tool.called '{\"name\": \"t\"}'\n\
                test \"$ERRAND_ATTEMPT\" = 2 || test -e \"$HOME/replayed\" || exit 1\n\
                errand agent step two -- sh -c 'echo two >> \"$HOME/effects\"'\n\
                errand agent checkpoint '{\"after\": 2}'\n";
    let policy = "retry_policy: { max_retries: 1, backoff: none }";
    let (_, run_id) = recorded(&sandbox, &agent(text).spec(policy));
    std::fs::write(sandbox.root().join("home/replayed"), "").unwrap();
    assert_eq!(strict(&sandbox, &run_id, None)["identical"], true);
}

#[test]
fn replay_inspect_describes_the_record_and_runs_nothing() {
    let sandbox = sandbox();
    let (_, run_id) = recorded(&sandbox, &agent(&script("hello")));
    let told = sandbox.errand(["replay", &run_id]).run().ok().stdout();
    for part in ["step \"clock\" gave", "step \"dice\"", "tool.called", "report.md", "served"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let story = sandbox.errand(["replay", &run_id, "--json"]).run().ok().json();
    assert_eq!((&story["schema"], &story["run_id"]), (&json!(1), &json!(run_id)));
    assert_eq!(story["strict"]["possible"], true);
    assert_eq!(all(&sandbox).len(), 1);
    assert_eq!(effects(&sandbox), "clock\ndice\n");
}

#[test]
fn a_run_that_its_agent_did_not_end_is_not_replayed_strictly() {
    let sandbox = sandbox();
    let path = sandbox.agent(&crate::support::sleeper());
    let run_id = crate::support::start_ready(&sandbox, &path);
    let words = ["replay", &run_id, "--policy", "strict"];
    drop(sandbox.errand(words).run().refuses(125, "run_live"));
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
    drop(sandbox.errand(words).run().refuses(125, "replay_refused"));
    let story = sandbox.errand(["replay", &run_id, "--json"]).run().ok().json();
    assert_eq!(story["strict"]["possible"], false, "{story:#}");
    drop(sandbox.errand(["replay", &run_id, "--allow-effects"]).run().refuses(2, "--policy live"));
    assert_eq!(all(&sandbox).len(), 1);
}

#[test]
fn a_live_replay_with_external_effects_needs_allow_effects() {
    let sandbox = sandbox();
    let text = "errand agent step send -- sh -c 'echo sent >> \"$HOME/effects\"'\n\
                errand agent emit tool.called '{\"name\": \"mail\", \"side_effect\": \"communication\"}'\n";
    let (_, run_id) = recorded(&sandbox, &agent(text));
    let words = ["replay", &run_id, "--policy", "live"];
    let refused = sandbox.errand(words).run().refuses(125, "replay_effects");
    assert!(refused.stderr().contains("mail (communication)"), "{}", refused.describe());
    assert_eq!((all(&sandbox).len(), effects(&sandbox)), (1, "sent\n".to_owned()));
    drop(sandbox.errand(words).arg("--allow-effects").run().ok());
    assert_eq!(effects(&sandbox), "sent\nsent\n");
    let new = all(&sandbox).remove(0);
    assert_eq!((&new["status"], &new["origin_run_id"]), (&json!("completed"), &json!(run_id)));
    let events = sandbox.errand(["events", new["run_id"].as_str().unwrap(), "--json"]);
    let events = events.run().ok().json_lines();
    let decided = events.iter().find(|event| event["type"] == "policy.decided").unwrap();
    assert_eq!(decided["data"]["verdict"], "deny", "{decided:#}");
    assert_eq!(decided["data"]["enforced"], "allow");
    assert!(decided["data"]["by"].is_string());

    let (_, clean) = recorded(&sandbox, &agent("echo clean\n").named("clean"));
    let words = ["replay", &clean, "--policy", "live"];
    assert_eq!(sandbox.errand(words).run().ok().stdout_line(), "clean");
}

#[test]
fn a_strict_replay_needs_the_secrets_of_its_run() {
    let mut sandbox = sandbox();
    sandbox.set_env("API_KEY", "correct horse battery staple");
    let text = "test -n \"$API_KEY\"\nerrand agent step use -- sh -c 'echo \"key $API_KEY\"'\n";
    let (_, run_id) = recorded(&sandbox, &agent(text).spec("secrets: [API_KEY]"));
    assert_eq!(strict(&sandbox, &run_id, None)["identical"], true);
    sandbox.set_env("API_KEY", "");
    let words = ["replay", &run_id, "--policy", "strict"];
    drop(sandbox.errand(words).env_remove("API_KEY").run().refuses(125, "secret_missing"));
    assert_eq!(all(&sandbox).len(), 2, "nothing was created");
}

#[test]
fn the_examples_are_replayed_byte_for_byte() {
    let sandbox = sandbox();
    sandbox.git_init();
    sandbox.write("app.py", "def main():\n    breakpoint()\n    return 1\n");
    sandbox.commit_all("first");
    for (name, job) in [("code-review", "HEAD"), ("shell-steps", "1")] {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
        let path = PathBuf::from(root).join(name);
        drop(run(&sandbox, &path, &["--job", job]).run());
        let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
        let result = strict(&sandbox, &run_id, None);
        assert_eq!(result["identical"], true, "{name}: {result:#}");
    }
}

#[test]
fn a_strict_replay_reads_the_session_from_the_record_and_does_not_write_it() {
    let sandbox = sandbox();
    let text = "errand agent session get\n\
                errand agent session put \"{\\\"turns\\\": \\\"$(cat \"$ERRAND_INPUT\")\\\"}\"\n\
                errand agent session get\n";
    let path = sandbox.agent(&agent(text));
    for job in ["one", "two", "three"] {
        drop(run(&sandbox, &path, &["--session", "talk", "--job", job]).run().ok());
    }
    let second = all(&sandbox)[1]["run_id"].as_str().unwrap().to_owned();
    let session = || {
        let shown = sandbox.errand(["sessions", "show", "talk", "--json"]).run().ok().json();
        ["messages", "revision", "results", "state"].map(|member| shown[member].clone())
    };
    let before = session();
    let result = strict(&sandbox, &second, None);
    assert_eq!(result["identical"], true, "{result:#}");
    let log = sandbox.errand(["logs", result["replay_run_id"].as_str().unwrap()]).run().ok();
    assert_eq!(log.stdout(), "{\"turns\":\"one\"}\n2\n{\"turns\":\"two\"}\n");
    assert_eq!(session(), before);
    let other = sandbox.agent(&agent(&text.replace("turns", "rounds")).named("changed"));
    let result = strict(&sandbox, &second, Some(&other));
    assert_eq!(result["divergence"]["what"], "session state", "{result:#}");
}

#[test]
fn a_strict_replay_does_not_expect_events_of_a_served_steps_command() {
    let sandbox = sandbox();
    let text = "errand agent step think -- sh -c 'errand agent emit model.called \"{\\\"model\\\": \\\"m\\\"}\" && errand agent output 1 && errand agent checkpoint 2 && echo thought'\n\
                errand agent emit tool.called '{\"name\": \"t\"}'\n";
    let (_, run_id) = recorded(&sandbox, &agent(text));
    let result = strict(&sandbox, &run_id, None);
    assert_eq!(result["identical"], true, "{result:#}");
}

#[test]
fn a_strict_replay_serves_recorded_decisions_without_asking() {
    let sandbox = sandbox();
    let text = "errand agent approve --action deploy --target prod && echo yes || echo no\n\
                errand agent step act -- sh -c 'echo act >> \"$HOME/effects\"'\n";
    let path = sandbox.agent(&agent(text));
    let run_id = crate::support::start(&sandbox, &path, &[]);
    let open =
        || sandbox.errand(["approvals", "ls", "--json"]).run().ok().json()["approvals"].clone();
    errand_testkit::wait_until("it asks", errand_testkit::LIMIT, || open() != json!([]));
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    assert_eq!(crate::support::finish(&sandbox, &run_id)["status"], "completed");
    let result = strict(&sandbox, &run_id, None);
    assert_eq!(result["identical"], true, "{result:#}");
    let other = sandbox.agent(&agent(&text.replace("prod", "moon")).named("changed"));
    let result = strict(&sandbox, &run_id, Some(&other));
    assert_eq!(result["divergence"]["what"], "approval", "{result:#}");
    assert!(result["divergence"]["expected"].as_str().unwrap().contains("deploy prod"));
    assert!(result["divergence"]["found"].as_str().unwrap().contains("deploy moon"));
    let silent =
        sandbox.agent(&agent(&text.replace("errand agent approve", "true")).named("changed"));
    let result = strict(&sandbox, &run_id, Some(&silent));
    assert_eq!(result["divergence"]["what"], "approval", "{result:#}");
    assert_eq!(open(), json!([]));
}
