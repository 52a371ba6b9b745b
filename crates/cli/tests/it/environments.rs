//! Environment of later attempts: the caller's, whichever process starts them; and secrets, which a
//! run waits for.

use std::ffi::OsStr;
use std::path::Path;

use errand_testkit::{Command, LIMIT, Sandbox, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::people::refused;
use crate::support::{
    all, assert_over, event_types, finish, kill, log, nobody_left, record, sandbox, wait_for_record,
};

const KEY: &str = "correct-horse-battery-4711";

/// Returns an agent that runs a step, asks for approval, and then runs another step.
fn asker() -> TestAgent {
    TestAgent::shell(
        "errand agent step before -- sh -c 'echo before >> \"$HOME/effects\"'\n\
         errand agent approve --action deploy --target production --park > d.json || exit $?\n\
         errand agent step after -- sh -c 'echo after >> \"$HOME/effects\"'\n",
    )
}

fn effects(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.root().join("home/effects")).unwrap_or_default()
}

fn run_detached<'s>(sandbox: &'s Sandbox, agent: &Path) -> Command<'s> {
    sandbox.errand([OsStr::new("run"), OsStr::new("-d"), agent.as_os_str()])
}

/// Waits until the run is parked, and no process of the sandbox is alive.
fn parked(sandbox: &Sandbox, run_id: &str) {
    wait_for_record(sandbox, run_id, "the run is parked", |record| {
        record["status"] == "paused" && record["pid"].is_null()
    });
    nobody_left(sandbox);
}

/// Parks a run that got `API_KEY` only from its caller's environment.
fn parked_with_key(sandbox: &Sandbox) -> String {
    let agent = sandbox.agent(&asker().spec("secrets: [API_KEY]"));
    let run_id = run_detached(sandbox, &agent).env("API_KEY", KEY).run().ok().stdout_line();
    parked(sandbox, &run_id);
    run_id
}

fn paused_for(sandbox: &Sandbox, run_id: &str) -> Value {
    let record = record(sandbox, run_id);
    assert_eq!(record["status"], "paused", "{record:#}");
    let mut pause = record["pause"].clone();
    pause.as_object_mut().unwrap().remove("since_ms");
    pause
}

#[test]
fn a_later_attempt_has_the_path_of_the_runs_caller_not_of_the_approver() {
    let sandbox = sandbox();
    let tool = sandbox.write("venv/bin/only-here", "#!/bin/sh\necho \"tool in $LANG\"\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&tool, mode).unwrap();
    let script = "only-here\n\
                  errand agent approve --action deploy --target production --park || exit $?\n\
                  only-here\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let path = format!("{}:/usr/bin:/bin", sandbox.path("venv/bin").display());
    let started = run_detached(&sandbox, &agent).env("PATH", &path).env("LANG", "C");
    let run_id = started.run().ok().stdout_line();
    parked(&sandbox, &run_id);
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed", "{}", log(&sandbox, &run_id));
    assert_eq!(log(&sandbox, &run_id).matches("tool in C\n").count(), 3);

    // A run that repeats it has the same environment.
    let again = sandbox.errand(["restart", &run_id]).run().ok().stdout_line();
    parked(&sandbox, &again);
    assert!(log(&sandbox, &again).contains("tool in C\n"));
}

#[test]
fn a_decision_from_a_shell_without_the_secret_is_recorded_and_the_run_waits_for_the_secret() {
    let sandbox = sandbox();
    let run_id = parked_with_key(&sandbox);
    let refusal = sandbox.errand(["approve", &run_id]).run().exits(125);
    refused(&refusal, "secret_missing");
    let said = refusal.stderr();
    assert!(said.contains("what was decided is recorded"), "{said}");
    assert!(said.contains(&format!("run {run_id} waits for secret API_KEY")), "{said}");
    assert!(said.contains("`errand secret set API_KEY`"), "{said}");
    let waits = json!({ "reason": "secret", "secrets": ["API_KEY"] });
    assert_eq!(paused_for(&sandbox, &run_id), waits);
    let shown = sandbox.errand(["ps"]).run().ok().stdout();
    assert!(shown.contains("paused, waits for secret API_KEY"), "{shown}");
    assert_eq!(record(&sandbox, &run_id)["approvals"][0]["status"], "approved");
    refused(&sandbox.errand(["resume", &run_id]).run().exits(125), "secret_missing");
    assert_eq!(record(&sandbox, &run_id)["attempt"], 1, "no attempt was begun without it");

    drop(sandbox.errand(["resume", &run_id]).env("API_KEY", KEY).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    assert_eq!(effects(&sandbox), "before\nafter\n");
    let asked = event_types(&sandbox, &run_id);
    assert_eq!(asked.iter().filter(|it| *it == "approval.requested").count(), 1, "{asked:?}");
    let found = sandbox.tool("grep", ["-rlaF", KEY, ".errand"]).run();
    assert_eq!(found.stdout(), "", "no file of the registry holds the secret");
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_run_that_waits_for_a_secret_continues_at_the_next_command_after_the_store_has_it() {
    let sandbox = sandbox();
    let run_id = parked_with_key(&sandbox);
    drop(sandbox.errand(["approve", &run_id]).run().exits(125));
    drop(sandbox.errand(["ps"]).env("API_KEY", "of-a-bystander-4712").run().ok());
    assert_eq!(paused_for(&sandbox, &run_id)["reason"], "secret", "a bystander's key is not taken");
    drop(sandbox.errand(["secret", "init"]).run().ok());
    let set = sandbox.errand(["secret", "set", "API_KEY", "--value-stdin"]);
    drop(set.stdin(KEY).run().ok());
    drop(sandbox.errand(["ps"]).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    assert_eq!(effects(&sandbox), "before\nafter\n");
}

#[test]
fn reconciling_a_crashed_run_without_its_secret_does_not_end_it() {
    let sandbox = sandbox();
    let script = "errand agent step before -- sh -c 'echo before >> \"$HOME/effects\"'\n\
                  echo ready\nwhile [ ! -e \"$HOME/go\" ]; do sleep 0.01; done\n";
    let agent = TestAgent::shell(script).spec(
        "secrets: [API_KEY]\nretry_policy: { max_retries: 3, initial_delay: 1ms, max_delay: 1ms }",
    );
    let agent = sandbox.agent(&agent);
    let run_id = run_detached(&sandbox, &agent).env("API_KEY", KEY).run().ok().stdout_line();
    wait_until("the agent is ready", LIMIT, || log(&sandbox, &run_id).contains("ready"));
    kill(&record(&sandbox, &run_id)["pid"]);
    assert_eq!(all(&sandbox)[0]["status"], "paused");
    assert_eq!(paused_for(&sandbox, &run_id)["secrets"], json!(["API_KEY"]));
    let log = sandbox.read(format!(".errand/runs/{run_id}.log"));
    assert!(log.contains("waits for secret API_KEY"), "{log}");
    std::fs::write(sandbox.root().join("home/go"), "").unwrap();
    drop(sandbox.errand(["resume", &run_id]).env("API_KEY", KEY).run().ok());
    assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
    assert_eq!(effects(&sandbox), "before\n");
    assert_over(&sandbox, &run_id);
}

#[test]
fn no_password_of_the_callers_environment_is_recorded() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("echo \"$HTTPS_PROXY $TZ\"").spec("secrets: [API_KEY]");
    let agent = sandbox.agent(&agent);
    let started = run_detached(&sandbox, &agent)
        .env("API_KEY", KEY)
        .env("HTTPS_PROXY", "http://me:hunter2@proxy:3128")
        .env("TZ", format!("of-{KEY}"));
    let run_id = started.run().ok().stdout_line();
    finish(&sandbox, &run_id);
    assert!(log(&sandbox, &run_id).contains("me:hunter2@proxy:3128 of-[redacted:API_KEY]"));
    let events = sandbox.errand(["events", &run_id, "--json"]).run().ok().json_lines();
    let recorded = &events[0]["data"]["caller_env"];
    assert_eq!(recorded["unrecorded"], json!(["HTTPS_PROXY", "TZ"]), "{recorded:#}");
    assert_eq!(recorded["variables"]["LANG"], "C.UTF-8");
    let written = sandbox.tool("grep", ["-rlaF", KEY, ".errand"]).run();
    assert_eq!(written.stdout(), "");
}
