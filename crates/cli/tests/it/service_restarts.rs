//! Services that come back: after a crash and after a signal, but not after `errand stop`.

use errand_testkit::{LIMIT, Sandbox, TestAgent, wait_for, wait_until};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    GATE, address, assert_over, event_types, kill, log, nobody_left, open_gate, record, sandbox,
    serve, signal, wait_for_record, wakes,
};

const NEVER_NOW: [&str; 2] = ["--schedule", "0 0 0 1 1 *"];

fn stop(sandbox: &Sandbox, service: &str) {
    drop(sandbox.errand(["stop", service]).run().ok());
    assert_over(sandbox, service);
}

/// Returns a file that an agent wrote.
fn home(sandbox: &Sandbox, name: &str) -> String {
    std::fs::read_to_string(sandbox.root().join("home").join(name)).unwrap()
}

fn until_attempt(sandbox: &Sandbox, service: &str, number: u64) -> Value {
    wait_for_record(sandbox, service, "the next attempt runs", |it| {
        it["attempt"] == number && it["attempts"][0]["status"] != "running" && {
            let last = it["attempts"].as_array().unwrap().last().unwrap();
            last["status"] == "running"
        }
    })
}

#[test]
fn a_killed_service_comes_back_and_continues_its_interrupted_wake() {
    let sandbox = sandbox();
    let script = format!(
        "errand agent step first -- sh -c 'echo first >> \"$HOME/steps\"'\necho begun\n{GATE}echo finished\n"
    );
    let agent = sandbox.agent(&TestAgent::shell(&script));
    let more = [NEVER_NOW.as_slice(), &["--listen", "127.0.0.1:0"]].concat();
    let service = serve(&sandbox, &agent, &more);
    let before = address(&sandbox, &service);
    let wake = sandbox.errand(["wake", &service, "hello"]).run().ok().stdout_line();
    wait_until("the wake has begun", LIMIT, || log(&sandbox, &wake).contains("begun"));
    kill(&record(&sandbox, &service)["pid"]);
    let after = until_attempt(&sandbox, &service, 2);
    assert_eq!(after["attempts"][1]["reason"], "recovery");
    assert_eq!(address(&sandbox, &service), before, "whoever calls it need not be told");
    let taken_up = wait_for("the wake is taken up", LIMIT, || {
        wakes(&sandbox, &service).into_iter().find(|it| it["origin_run_id"] == wake.as_str())
    });
    open_gate(&sandbox);
    let id = taken_up["run_id"].as_str().unwrap();
    let ended = crate::support::finish(&sandbox, id);
    assert_eq!((&ended["status"], &ended["input"]), (&"completed".into(), &"hello".into()));
    assert_eq!(home(&sandbox, "steps"), "first\n", "a completed step is not done again");
    let events = sandbox.errand(["events", &service, "--json"]).run().ok().json_lines();
    let recovered = events.iter().find(|event| event["data"]["reason"] == "recovery");
    assert!(recovered.is_some(), "{events:#?}");
    stop(&sandbox, &service);
}

#[test]
fn a_service_that_was_stopped_does_not_come_back() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let more = [NEVER_NOW.as_slice(), &["--restart", "always"]].concat();
    let service = serve(&sandbox, &agent, &more);
    stop(&sandbox, &service);
    drop(sandbox.errand(["ps", "-a"]).run().ok());
    assert_eq!(record(&sandbox, &service)["attempt"], 1);
}

#[test]
fn a_service_of_the_policy_no_is_over_with_its_helper() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true").spec("restart: no"));
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    kill(&record(&sandbox, &service)["pid"]);
    assert_eq!(record(&sandbox, &service)["status"], "cancelled");
    assert_over(&sandbox, &service);
}

#[test]
fn a_service_ended_by_a_signal_comes_back_with_resume() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    signal(&record(&sandbox, &service)["pid"], Signal::TERM);
    nobody_left(&sandbox);
    let listed = sandbox.errand(["ps"]).run().ok().stdout();
    assert!(listed.contains("until the next boot"), "{listed}");
    assert_eq!(record(&sandbox, &service)["attempt"], 1, "whoever looks does not bring it back");
    drop(sandbox.errand(["resume", &service]).run().ok());
    let back = until_attempt(&sandbox, &service, 2);
    assert_eq!(back["status"], "running");
    signal(&back["pid"], Signal::TERM);
    nobody_left(&sandbox);
    drop(sandbox.errand(["wake", &service, "--wait"]).run().ok());
    drop(until_attempt(&sandbox, &service, 3));
    stop(&sandbox, &service);
}

#[test]
fn a_service_ended_by_a_signal_can_be_stopped_for_good() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let service = serve(&sandbox, &agent, &NEVER_NOW);
    signal(&record(&sandbox, &service)["pid"], Signal::TERM);
    nobody_left(&sandbox);
    stop(&sandbox, &service);
    assert_eq!(record(&sandbox, &service)["attempt"], 1);
    assert!(event_types(&sandbox, &service).contains(&"run.cancelled".to_owned()));
}

#[test]
fn a_service_of_the_policy_always_comes_back_after_a_signal() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let more = [NEVER_NOW.as_slice(), &["--restart", "always"]].concat();
    let service = serve(&sandbox, &agent, &more);
    signal(&record(&sandbox, &service)["pid"], Signal::TERM);
    drop(until_attempt(&sandbox, &service, 2));
    stop(&sandbox, &service);
}

#[test]
fn a_unit_of_systemd_resumes_the_service_and_waits_for_it() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let more = [NEVER_NOW.as_slice(), &["--name", "night-watch"]].concat();
    let service = serve(&sandbox, &agent, &more);
    let unit = sandbox.errand(["systemd", "night-watch"]).run().ok().stdout();
    for line in [format!("resume {service}"), format!("wait {service}")] {
        assert!(unit.contains(&line), "{unit}");
    }
    assert!(unit.contains("Description=errand service night-watch"), "{unit}");
    stop(&sandbox, &service);
    let refused = sandbox.errand(["systemd", "night-watch"]).run();
    assert!(refused.stderr().contains("errand restart"), "{}", refused.describe());
}
