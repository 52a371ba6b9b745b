//! Attempts after the first: failures that get one, their records, their delays.

use errand_testkit::{LIMIT, Sandbox, TestAgent, is_alive, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    assert_over, event_types, finish, pid, record, sandbox, signal, start, wait_for_record,
};

/// Returns an agent with `retries` immediate retries under `policy`.
fn agent(script: &str, retries: u32, policy: &str) -> TestAgent {
    let line = format!("retry_policy: {{ max_retries: {retries}, backoff: none{policy} }}");
    TestAgent::shell(script).spec(&line)
}

/// Runs the agent to its end; returns the record.
fn ran(sandbox: &Sandbox, agent: &TestAgent) -> Value {
    let run_id = start(sandbox, &sandbox.agent(agent), &[]);
    let record = finish(sandbox, &run_id);
    assert_over(sandbox, &run_id);
    record
}

fn attempts(record: &Value) -> usize {
    record["attempts"].as_array().unwrap().len()
}

#[test]
fn retryable_of_the_agent_wins_over_the_policy() {
    let sandbox = sandbox();
    for (said, policy, expect) in [
        ("--retryable false", "", 1),
        ("--retryable true", ", retry_on: [timeout_step]", 3),
        ("--retryable false", ", retry_on: [exit_nonzero]", 1),
    ] {
        let script =
            format!("errand agent fail 'no such customer' --code no_customer {said}; exit 4");
        let record = ran(&sandbox, &agent(&script, 2, policy));
        assert_eq!(attempts(&record), expect, "{said} {policy}: {record:#}");
        let error = json!({ "code": "no_customer", "message": "no such customer", "step": null });
        assert_eq!(record["last_error"], error);
        assert_eq!(record["exit_code"], 4);
    }
}

#[test]
fn an_agent_that_reports_failure_has_failed_with_any_exit_code() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("errand agent fail 'it did not work'; exit 0"));
    let output = crate::support::run(&sandbox, &agent, &[]).run().exits(125);
    let run_id = sandbox.errand(["ps", "-a", "-q"]).run().ok().stdout_line();
    let record = record(&sandbox, &run_id);
    assert_eq!(record["status"], "failed", "{}", output.describe());
    assert_eq!(record["last_error"]["code"], "agent_failed");
    assert_eq!(record["last_error"]["message"], "it did not work");
    for bad in [&["fail", " "][..], &["fail", "x", "--code", "No Code"]] {
        let words: Vec<&str> = ["agent"].iter().chain(bad).copied().collect();
        let refused = sandbox.errand(words).run();
        assert_ne!(refused.code, Some(0), "{}", refused.describe());
    }
}

#[test]
fn a_failed_run_names_the_step_that_failed_last() {
    let sandbox = sandbox();
    let step = |script: &str| {
        let record = ran(&sandbox, &agent(script, 0, ""));
        assert_eq!(record["status"], "failed", "{script}");
        record["last_error"].clone()
    };
    let error = step(
        "set -e\nerrand agent step one -- true\nerrand agent step two -- sh -c 'echo no >&2; exit 7'",
    );
    assert_eq!(error["step"], "two");
    assert_eq!(error["code"], "exit_nonzero");
    assert!(error["message"].as_str().unwrap().contains("code 7: no"), "{error}");
    let error = step("set -e\nerrand agent step slow --timeout 100ms -- sleep 60");
    assert_eq!((&error["step"], &error["code"]), (&json!("slow"), &json!("timeout_step")));
    let error = step(
        "errand agent step a -- false || true; errand agent step b -- false || true; errand agent step b -- true; exit 5",
    );
    assert_eq!(error["step"], "a", "b was mended");
    let error = step(
        "errand agent step long -- sh -c \"touch '$HOME/up'; sleep 60\" &\n\
                      while [ ! -e \"$HOME/up\" ]; do sleep 0.01; done\nkill -9 $$",
    );
    assert_eq!((&error["step"], &error["code"]), (&json!("long"), &json!("killed_by_signal")));
    let error = step(
        "errand agent step a -- false || true; errand agent fail 'so be it' --code own; exit 1",
    );
    assert_eq!((&error["step"], &error["code"]), (&json!("a"), &json!("own")));
}

#[test]
fn a_failed_run_that_tolerated_a_step_has_the_agents_own_exit_code_and_message() {
    let sandbox = sandbox();
    for (script, code, expect) in [
        ("errand agent step s --timeout 100ms -- sleep 60 || true; exit 3", 3, "exit_nonzero"),
        ("errand agent step s -- sh -c 'exit 6' || true; exit 3", 3, "exit_nonzero"),
        ("set -e; errand agent step s --timeout 100ms -- sleep 60", 124, "timeout_step"),
    ] {
        let agent = sandbox.agent(&TestAgent::shell(script));
        let output = sandbox.errand(["run"]).arg(&agent).run().exits(code);
        let run_id = sandbox
            .errand(["ps", "-a", "-q"])
            .run()
            .ok()
            .stdout()
            .lines()
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(
            sandbox.errand(["wait", &run_id]).run().exits(code).stdout_line(),
            code.to_string()
        );
        let record = record(&sandbox, &run_id);
        assert_eq!(record["exit_code"], code, "{script}");
        let error = &record["last_error"];
        assert_eq!((&error["code"], &error["step"]), (&json!(expect), &json!("s")), "{script}");
        let said = format!("the agent exited with code {code}");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(&said), "{message}");
        assert_eq!(message == said, code == 3, "{message}");
        assert!(
            output.stderr().contains(&format!("error[{expect}]: {said}")),
            "{}",
            output.describe()
        );
    }
}

#[test]
fn a_failed_run_keeps_the_last_lines_of_stderr_and_one_code() {
    let sandbox = sandbox();
    drop(sandbox.errand(["secret", "init"]).run().ok());
    let set =
        sandbox.errand(["secret", "set", "TOKEN", "--value-stdin"]).stdin("correct-horse-battery");
    drop(set.run().ok());
    let script = "import os, sys\n\
        for line in range(100): print('line', line, file=sys.stderr)\n\
        def deep(): raise ValueError(os.environ['TOKEN'])\n\
        deep()\n";
    let agent = TestAgent::python(script)
        .spec("secrets: [TOKEN]")
        .spec("retry_policy: { max_retries: 1, backoff: none }");
    let run_id = start(&sandbox, &sandbox.agent(&agent), &[]);
    let record = finish(&sandbox, &run_id);
    let tail = record["last_error"]["stderr_tail"].as_str().unwrap();
    assert!(tail.ends_with("ValueError: [redacted:TOKEN]") && tail.contains("Traceback"), "{tail}");
    assert!(tail.contains("in deep") && tail.contains("line 99"), "{tail}");
    assert_eq!(tail.lines().count(), 20, "{tail}");
    assert_eq!(record["attempts"][0]["error"]["stderr_tail"], tail);
    let shown = sandbox.errand(["dlq", "show", &run_id]).run().ok();
    assert!(shown.stdout().contains("  ValueError: [redacted:TOKEN]\n"), "{}", shown.stdout());
    let failing = TestAgent::shell("errand agent fail 'no such page' --code my_code; exit 4");
    let output = sandbox.errand(["run"]).arg(sandbox.agent(&failing)).run().exits(4);
    assert!(output.stderr().contains("error[my_code]: no such page\n"), "{}", output.stderr());
}

#[test]
fn retryable_of_a_step_decides_about_another_attempt() {
    let script = "import os, sys, json, http.client, socket\n\
        class Local(http.client.HTTPConnection):\n\
        \x20   def connect(self):\n\
        \x20       self.sock = socket.socket(socket.AF_UNIX)\n\
        \x20       self.sock.connect(os.environ['ERRAND_API'][len('unix://'):])\n\
        def call(path, body):\n\
        \x20   api = Local('errand')\n\
        \x20   api.request('POST', '/agent/v1/' + path, json.dumps(body), {\n\
        \x20       'Authorization': 'Bearer ' + os.environ['ERRAND_TOKEN'], 'Content-Type': 'application/json'})\n\
        \x20   answer = api.getresponse()\n\
        \x20   assert answer.status < 300, answer.read()\n\
        call('steps/pay/begin', {})\n\
        error = {'code': 'declined', 'message': 'card declined', 'retryable': False}\n\
        call('steps/pay/fail', {'error': error})\n\
        sys.exit(1)\n";
    let sandbox = sandbox();
    let policy = "retry_policy: { max_retries: 3, backoff: none }";
    let record = ran(&sandbox, &TestAgent::python(script).spec(policy));
    assert_eq!(attempts(&record), 1, "{record:#}");
    let message = "the agent exited with code 1 after step \"pay\" failed: card declined";
    let error = json!({ "code": "declined", "message": message, "step": "pay" });
    assert_eq!(record["last_error"], error);
}

#[test]
fn each_attempt_has_its_own_times_reason_error_and_log() {
    let sandbox = sandbox();
    let script = "echo \"this is attempt $ERRAND_ATTEMPT\"\n\
                  [ \"$ERRAND_ATTEMPT\" = 3 ] || exit \"1$ERRAND_ATTEMPT\"";
    let record = ran(&sandbox, &agent(script, 3, ""));
    assert_eq!(record["status"], "completed");
    let run_id = record["run_id"].as_str().unwrap();
    let attempts = record["attempts"].as_array().unwrap();
    let reasons: Vec<&Value> = attempts.iter().map(|attempt| &attempt["reason"]).collect();
    assert_eq!(reasons, ["initial", "retry", "retry"]);
    let codes: Vec<&Value> = attempts.iter().map(|attempt| &attempt["exit_code"]).collect();
    assert_eq!(codes, [11, 12, 0]);
    for (number, attempt) in (1..).zip(attempts) {
        assert!(attempt["started_at_ms"].as_i64() <= attempt["stopped_at_ms"].as_i64());
        assert_eq!(attempt["error"].is_null(), number == 3);
        let words = ["logs", run_id, "--attempt", &number.to_string()];
        let log = sandbox.errand(words).run().ok();
        assert_eq!(log.stdout(), format!("this is attempt {number}\n"));
        let system = sandbox.errand(words).args(["--system"]).run().ok().stderr();
        assert_eq!(system.matches("began").count(), 1, "{system}");
        assert_eq!(system.matches("ended").count(), 1, "{system}");
    }
    let none = sandbox.errand(["logs", run_id, "--attempt", "4"]).run();
    assert!(none.stderr().contains("has no attempt 4"), "{}", none.describe());
}

/// Starts a run whose first attempt failed, and whose second is due after `delay_ms`.
fn waiting(sandbox: &Sandbox, delay_ms: u32) -> String {
    let policy = format!(
        "retry_policy: {{ max_retries: 2, backoff: fixed, initial_delay: {delay_ms}ms, max_delay: {delay_ms}ms }}"
    );
    let script = "[ \"$ERRAND_ATTEMPT\" = 2 ] || exit 9";
    let agent = sandbox.agent(&TestAgent::shell(script).spec(&policy));
    let run_id = start(sandbox, &agent, &[]);
    wait_for_record(sandbox, &run_id, "the first attempt failed", |record| {
        record["attempts"][0]["status"] == "failed"
    });
    run_id
}

/// Returns the time between the first attempt's end and the second one's start.
fn waited_ms(record: &Value) -> i64 {
    record["attempts"][1]["started_at_ms"].as_i64().unwrap()
        - record["attempts"][0]["stopped_at_ms"].as_i64().unwrap()
}

#[test]
fn a_helper_killed_during_a_retry_delay_is_replaced_and_the_delay_stays() {
    let both = [false, true].map(|drain| {
        let sandbox = sandbox();
        let run_id = waiting(&sandbox, 5_000);
        let helper = record(&sandbox, &run_id)["pid"].clone();
        assert_eq!(errand_testkit::processes_of_run(&run_id), [], "nobody works meanwhile");
        signal(&helper, if drain { Signal::TERM } else { Signal::KILL });
        wait_until("the helper is gone", LIMIT, || !is_alive(pid(&helper)));
        drop(sandbox.errand(["ps"]).run().ok());
        (sandbox, run_id)
    });
    for (sandbox, run_id) in both {
        let record = finish(&sandbox, &run_id);
        assert_eq!(record["status"], "completed", "{record:#}");
        assert_eq!(attempts(&record), 2);
        // Jitter takes off up to a quarter.
        assert!(waited_ms(&record) >= 3_750, "{record:#}");
        assert_over(&sandbox, &run_id);
    }
}

#[test]
fn a_run_that_waits_for_another_attempt_is_stopped_at_once() {
    let sandbox = sandbox();
    let run_id = waiting(&sandbox, 600_000);
    drop(sandbox.errand(["stop", &run_id]).run().ok());
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["status"], "cancelled", "{record:#}");
    assert_eq!(attempts(&record), 1);
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_run_whose_time_passed_without_a_supervisor_ends_without_another_process() {
    let sandbox = sandbox();
    let policy =
        "retry_policy: { max_retries: 9, backoff: fixed, initial_delay: 3s, max_delay: 3s }";
    let script = "[ \"$ERRAND_ATTEMPT\" = 1 ] || touch \"$HOME/again\"\nexit 3";
    let agent = TestAgent::shell(script).spec(policy).spec("timeouts: { run: 6s }");
    let run_id = start(&sandbox, &sandbox.agent(&agent), &[]);
    let failed = wait_for_record(&sandbox, &run_id, "the first attempt failed", |record| {
        record["attempts"][0]["status"] == "failed"
    });
    signal(&failed["pid"], Signal::STOP);
    let started_at = failed["started_at_ms"].as_i64().unwrap();
    wait_until("its time is up", LIMIT, || {
        use errand_agent::Clock as _;
        errand_agent::SystemClock.now().as_millis() > started_at + 6_100
    });
    signal(&failed["pid"], Signal::CONT);
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["last_error"]["code"], "timeout_run", "{record:#}");
    assert!(!sandbox.root().join("home/again").exists());
    assert!(event_types(&sandbox, &run_id).contains(&"attempt.failed".to_owned()));
    assert_over(&sandbox, &run_id);
}

#[test]
fn a_run_over_its_time_limit_names_the_running_step() {
    let sandbox = sandbox();
    let script = "errand agent step z-first -- true\nerrand agent step b-second -- sleep 600";
    let begin = |name: &str, limits: &str| {
        let agent = TestAgent::shell(script).named(name).spec(&format!("timeouts: {limits}"));
        start(&sandbox, &sandbox.agent(&agent), &[])
    };
    let both = [("run", "{ run: 4s }"), ("step", "{ step: 3s }")]
        .map(|(name, limits)| (format!("timeout_{name}"), begin(name, limits)));
    for (code, run_id) in both {
        let record = finish(&sandbox, &run_id);
        let error = &record["last_error"];
        assert_eq!((&error["code"], &error["step"]), (&json!(code), &json!("b-second")));
    }
}
