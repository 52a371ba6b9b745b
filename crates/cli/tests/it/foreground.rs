//! Runs in the foreground: streams, exit codes, interrupts.

use errand_testkit::{
    ErrandServer, LIMIT, RunningProgram, Sandbox, TestAgent, processes_of_run, wait_until,
};
use rustix::process::Signal;

use crate::support::{all, assert_over, run, sandbox, sleeper, start};

/// Runs a script in the foreground, then waits for the run: both end with `code`.
fn check(agent: &TestAgent, more: &[&str], code: i32, error: Option<&str>) {
    let sandbox = sandbox();
    let agent = sandbox.agent(agent);
    drop(run(&sandbox, &agent, more).run().exits(code));
    let record = all(&sandbox).remove(0);
    assert_eq!(record["last_error"]["code"].as_str(), error, "{record:#}");
    let run_id = record["run_id"].as_str().unwrap();
    let waited = sandbox.errand(["wait", run_id]).run().exits(code);
    assert_eq!(waited.stdout(), format!("{code}\n"));
    assert_over(&sandbox, run_id);
}

#[test]
fn a_foreground_run_ends_with_the_agents_own_exit_code() {
    check(&TestAgent::shell("exit 0"), &[], 0, None);
    check(&TestAgent::shell("exit 7"), &[], 7, Some("exit_nonzero"));
    check(&TestAgent::shell("exit 255"), &[], 255, Some("exit_nonzero"));
    check(&TestAgent::shell("kill -TERM $$; sleep 600"), &[], 143, Some("killed_by_signal"));
}

#[test]
fn a_run_over_its_time_limit_exits_with_124() {
    check(&sleeper(), &["--timeout", "200ms"], 124, Some("timeout_run"));
    let in_file = sleeper().spec("timeouts: { run: 200ms }");
    check(&in_file, &[], 124, Some("timeout_run"));
}

#[test]
fn a_run_over_its_memory_limit_is_out_of_memory_whichever_process_uses_it() {
    let hold = |mib: u32| format!("held = b'x' * ({mib} << 20)\nimport time\n");
    let limit = "resources: { memory: 64Mi }";
    let alone = format!("{}time.sleep(600)\n", hold(200));
    check(&TestAgent::python(&alone).spec(limit), &[], 137, Some("out_of_memory"));
    let together = format!(
        "import subprocess, sys\nhold = {:?}\n\
         all = [subprocess.Popen([sys.executable, '-c', hold]) for _ in range(3)]\n\
         [one.wait() for one in all]\n",
        format!("{}time.sleep(600)", hold(40)),
    );
    check(&TestAgent::python(&together).spec(limit), &[], 137, Some("out_of_memory"));
    let within = format!("{}time.sleep(0.5)\nprint(len(held))\n", hold(16));
    check(&TestAgent::python(&within).spec(limit), &[], 0, None);
}

#[test]
fn an_attempt_with_a_memory_limit_records_its_enforcement() {
    let sandbox = sandbox();
    let running = |agent: &TestAgent| {
        drop(run(&sandbox, &sandbox.agent(agent), &[]).run().ok());
        let runs = all(&sandbox);
        let run_id = runs[0]["run_id"].as_str().unwrap().to_owned();
        let events = sandbox.errand(["events", &run_id, "--json"]).run().ok();
        events.stdout().contains("\"memory_enforced_by\":\"rss\"")
    };
    assert!(!running(&TestAgent::shell("true").named("free")));
    assert!(running(&TestAgent::shell("true").named("held").spec("resources: { memory: 1Gi }")));
}

#[test]
fn a_refused_output_exits_with_125() {
    let agent = TestAgent::shell("echo '{' > \"$ERRAND_OUTPUT\"");
    check(&agent, &[], 125, Some("output_invalid"));
    let agent = TestAgent::shell("echo '{\"n\": 1}'")
        .spec("output_schema: { type: object, required: [m] }");
    check(&agent, &[], 125, Some("output_invalid"));
}

#[test]
fn a_program_that_cannot_be_executed_exits_with_126_and_a_missing_one_with_127() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::command("[./README]"));
    for words in [&["run"][..], &["run", "-d"]] {
        let refused = sandbox.errand(words).arg(&agent).run();
        drop(refused.refuses(126, "command_not_executable"));
    }
    let agent = sandbox.agent(&TestAgent::command("[no-such-program]").named("absent"));
    for words in [&["run"][..], &["run", "-d"]] {
        let refused = sandbox.errand(words).arg(&agent).run();
        drop(refused.refuses(127, "no-such-program"));
    }
    assert!(!sandbox.registry().exists(), "what cannot run creates nothing");
}

#[test]
fn stdout_and_stderr_stay_apart_and_nothing_is_added_to_stdout() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("printf 'to stdout'; echo to stderr >&2"));
    let output = run(&sandbox, &agent, &[]).run().ok();
    assert_eq!(output.stdout(), "to stdout");
    assert!(output.stderr().contains("to stderr\n") && !output.stderr().contains("to stdout"));
}

#[test]
fn the_output_is_shown_while_the_agent_runs() {
    let sandbox = sandbox();
    let agent =
        sandbox.agent(&TestAgent::shell(&format!("echo first\n{}echo last", crate::support::GATE)));
    let running = run(&sandbox, &agent, &[]).spawn();
    running.wait_for_stdout("first");
    crate::support::open_gate(&sandbox);
    assert_eq!(running.wait().ok().stdout(), "first\nlast\n");
}

#[test]
fn an_agent_gets_only_the_listed_variables_of_its_caller() {
    let mut sandbox = sandbox();
    sandbox.set_env("PRIVATE_THING", "of-the-caller");
    let agent = TestAgent::shell("env | sort").spec("env: { FROM_FILE: one, BOTH: file }");
    let agent = sandbox.agent(&agent);
    let output = run(&sandbox, &agent, &["--env", "BOTH=flag", "--env", "EMPTY="]).run().ok();
    let variables: Vec<String> = output.stdout().lines().map(str::to_owned).collect();
    for expected in ["FROM_FILE=one", "BOTH=flag", "EMPTY=", "ERRAND_ATTEMPT=1", "TZ=UTC"] {
        assert!(variables.iter().any(|it| it == expected), "{expected}: {variables:#?}");
    }
    assert!(!output.stdout().contains("PRIVATE_THING"));
    let named = |name: &str| variables.iter().any(|it| it.starts_with(&format!("{name}=")));
    for name in [
        "ERRAND_RUN_ID",
        "ERRAND_WORKSPACE",
        "ERRAND_AGENT_DIR",
        "ERRAND_INPUT",
        "ERRAND_OUTPUT",
        "ERRAND_BRIEF",
        "ERRAND_BRIEF_KEY",
        "ERRAND_API",
        "ERRAND_TOKEN",
    ] {
        assert!(named(name), "{name}: {variables:#?}");
    }
}

#[test]
fn an_interrupted_agent_may_use_its_grace_period() {
    let sandbox = sandbox();
    let script = "trap 'echo saved; exit 0' TERM\necho ready\nwhile :; do sleep 0.01; done\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let running = run(&sandbox, &agent, &[]).spawn();
    running.wait_for_stdout("ready");
    running.interrupt();
    assert!(running.wait().exits(130).stdout().contains("saved"));
    assert_eq!(all(&sandbox)[0]["status"], "cancelled");
}

#[test]
fn a_terminal_that_is_gone_interrupts_the_run() {
    let sandbox = sandbox();
    let script = "trap 'echo saved; exit 0' TERM\necho ready\nwhile :; do sleep 0.01; done\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let running = run(&sandbox, &agent, &[]).spawn();
    running.wait_for_stdout("ready");
    running.signal(Signal::HUP);
    assert!(running.wait().exits(130).stdout().contains("saved"));
    let record = all(&sandbox).remove(0);
    assert_eq!(record["status"], "cancelled", "{record:#}");
    assert_over(&sandbox, record["run_id"].as_str().unwrap());
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let sandbox = sandbox();
    let script = format!("echo ready\n{}echo done\n", crate::support::GATE);
    let agent = sandbox.agent(&TestAgent::shell(&script));
    let words = ["nohup", env!("CARGO_BIN_EXE_errand"), "run", agent.to_str().unwrap()];
    let running = sandbox.tool("env", words).spawn();
    running.wait_for_stdout("ready");
    running.signal(Signal::HUP);
    crate::support::open_gate(&sandbox);
    assert!(running.wait().ok().stdout().contains("done"));
    assert_eq!(all(&sandbox)[0]["status"], "completed");
}

#[test]
fn a_second_interrupt_kills_at_once() {
    let sandbox = sandbox();
    let script = "trap 'echo asked' TERM\necho ready\nwhile :; do sleep 0.01 || true; done\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let running = run(&sandbox, &agent, &[]).spawn();
    running.wait_for_stdout("ready");
    running.interrupt();
    running.wait_for_stdout("asked");
    let asked = std::time::Instant::now();
    running.interrupt();
    drop(running.wait().exits(130));
    assert!(asked.elapsed() < std::time::Duration::from_secs(9), "the grace period is cut short");
    let record = all(&sandbox).remove(0);
    assert_eq!((&record["status"], &record["signal"]), (&"cancelled".into(), &9.into()));
    assert_over(&sandbox, record["run_id"].as_str().unwrap());
}

#[test]
fn a_terminated_foreground_run_leaves_nothing_behind() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let running = run(&sandbox, &agent, &[]).spawn();
    running.wait_for_stdout("ready");
    running.terminate();
    assert_ne!(running.wait().code, Some(0));
    let record = all(&sandbox).remove(0);
    assert_over(&sandbox, record["run_id"].as_str().unwrap());
}

#[test]
fn a_killed_foreground_run_takes_its_agent_with_it() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&sleeper());
    let running = run(&sandbox, &agent, &[]).spawn();
    running.wait_for_stdout("ready");
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    running.kill();
    drop(running.wait());
    wait_until("its agent is dead", LIMIT, || processes_of_run(&run_id).is_empty());
    assert_over(&sandbox, &run_id);
    assert_eq!(all(&sandbox)[0]["status"], "failed");
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_run() {
    let sandbox = sandbox();
    let script = "i=0; while [ $i -lt 20000 ]; do echo \"line $i\"; i=$((i+1)); done";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let shown = format!("{} run {} | head -1", env!("CARGO_BIN_EXE_errand"), agent.display());
    assert_eq!(sandbox.tool("sh", ["-c", &shown]).run().ok().stdout(), "line 0\n");
    let record = all(&sandbox).remove(0);
    assert_eq!(record["status"], "completed");
    let run_id = record["run_id"].as_str().unwrap();
    assert_eq!(crate::support::log(&sandbox, run_id).lines().count(), 20_000);
}

#[test]
fn wait_prints_one_exit_code_per_run_and_gives_up_with_124() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("exit \"$(cat)\""));
    let ids: Vec<String> =
        ["3", "0", "5"].iter().map(|code| start(&sandbox, &agent, &["--job", code])).collect();
    assert_eq!(sandbox.errand(["wait"]).args(&ids).run().exits(5).stdout(), "3\n0\n5\n");

    let agent = sandbox.agent(&sleeper());
    let run_id = start(&sandbox, &agent, &[]);
    let given_up = sandbox.errand(["wait", "--timeout-ms", "50", &run_id]).run();
    drop(given_up.refuses(124, "wait_timed_out"));
    drop(sandbox.errand(["stop", "--force", &run_id]).run().ok());
    assert_eq!(sandbox.errand(["wait", &run_id]).run().exits(143).stdout(), "143\n");
}

#[test]
fn with_json_stdout_is_the_record_and_nothing_else() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("echo said; echo '{}'"));
    let run = sandbox.errand(["run", "--json"]).args([agent]).run().ok();
    assert_eq!(run.json()["status"], "completed");
    assert!(run.stderr().contains("said"), "{}", run.describe());
}

#[test]
fn a_foreground_run_notes_the_approval_that_it_waits_for() {
    let sandbox = sandbox();
    let script = "errand agent approve --action pay --target shop --summary 'two cups' > /dev/null
                  echo paid";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let run = sandbox.errand(["run"]).args([agent]).spawn();
    run.wait_for_stderr("waits for approval of pay");
    run.wait_for_stderr("asked: pay shop: two cups");
    run.wait_for_stderr("errand approve");
    let run_id = all(&sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    assert_eq!(run.wait().ok().stdout(), "paid\n");
}

/// Asks for an approval, then for an answer.
const ASKS_TWICE: &str = "errand agent approve --action pay --target shop > /dev/null\n\
                          errand agent input --prompt 'which colour?' > /dev/null\necho done\n";

fn answers_both(sandbox: &Sandbox, run: RunningProgram) {
    run.wait_for_stderr("waits for approval of pay");
    let run_id = all(sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    run.wait_for_stderr(&format!("errand approve {run_id} --approval apr_"));
    drop(sandbox.errand(["approve", &run_id]).run().ok());
    run.wait_for_stderr("waits for an answer: which colour?");
    run.wait_for_stderr(&format!("errand input {run_id} --input inp_"));
    drop(sandbox.errand(["input", &run_id, "\"red\""]).run().ok());
    assert_eq!(run.wait().ok().stdout(), "done\n");
}

#[test]
fn a_foreground_run_notes_every_question() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell(ASKS_TWICE));
    answers_both(&sandbox, run(&sandbox, &agent, &[]).spawn());
    let server = ErrandServer::start(&sandbox, &[]);
    let words = ["--server", &server.url(), "run"];
    answers_both(&sandbox, sandbox.errand(words).arg(&agent).spawn());
}

#[test]
fn a_foreground_run_notes_that_another_attempt_follows() {
    let sandbox = sandbox();
    let policy = "retry_policy: { max_retries: 1, backoff: fixed, initial_delay: 1900ms }";
    let agent = sandbox.agent(&TestAgent::shell("exit 3").spec(policy));
    let told =
        "attempt 1 failed (exit_nonzero): the agent exited with code 3; attempt 2 begins in 1.";
    let here = run(&sandbox, &agent, &[]).run().exits(3);
    assert_eq!(here.stderr().matches(told).count(), 1, "{}", here.describe());
    let server = ErrandServer::start(&sandbox, &[]);
    let away = sandbox.errand(["--server", &server.url(), "run"]).arg(&agent).run().exits(3);
    assert_eq!(away.stderr().matches(told).count(), 1, "{}", away.describe());
}

#[test]
fn a_cancelled_foreground_run_notes_the_reason() {
    let sandbox = sandbox();
    let talk = ["--session", "talk"];
    let first = start(&sandbox, &sandbox.agent(&sleeper()), &talk);
    let quick = sandbox.agent(&TestAgent::shell("true").named("quick"));
    let words = [&talk[..], &["--queue-timeout", "300ms"]].concat();
    let late = run(&sandbox, &quick, &words).run().exits(124);
    let why = "is cancelled: the run could not begin within its limit of 300ms";
    assert!(late.stderr().contains(why), "{}", late.describe());
    drop(sandbox.errand(["stop", &first]).run().ok());
}

#[test]
fn the_error_of_a_failing_agent_is_shown_on_one_line_without_control_characters() {
    let sandbox = sandbox();
    let script =
        "errand agent fail \"$(printf 'bad\\033[2Jthing\\nerror[x]: second\\rline')\"\nexit 1\n";
    let agent = sandbox.agent(&TestAgent::shell(script));
    let failed = sandbox.errand(["run"]).arg(&agent).run().exits(1);
    let said = failed.stderr();
    assert!(said.contains(r"bad\u{1b}[2Jthing\nerror[x]: second\rline"), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{said}");
    let shown = sandbox.errand(["dlq", "ls", "-a"]).run().ok();
    assert!(!shown.stdout().contains('\u{1b}'), "{}", shown.stdout());
}
