//! Services woken by time, never twice for the same slot.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_agent::Clock as _;
use errand_testkit::{
    HttpRequest, LIMIT, Sandbox, TestAgent, processes_of_run, wait_for, wait_until,
};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    GATE, address, assert_over, command, event_types, kill, log, open_gate, pid, record, sandbox,
    serve, signal, wait_for_record, wakes,
};

/// A schedule that is due only at a time that no test reaches.
const NEVER_NOW: &str = "0 0 0 1 1 *";
const EVERY_SECOND: &str = "* * * * * *";

fn stop(sandbox: &Sandbox, service: &str, more: &[&str]) {
    drop(sandbox.errand(["stop"]).args(more).arg(service).run().ok());
}

/// Returns schedule and slot of each firing in a service's journal.
fn fired(sandbox: &Sandbox, service: &str) -> Vec<(String, i64)> {
    let events = sandbox.errand(["events", service, "--json"]).run().ok().json_lines();
    let fired = events.iter().filter(|event| event["type"] == "wake.fired");
    fired
        .map(|event| {
            let data = &event["data"];
            (data["source"].as_str().unwrap().to_owned(), data["slot_ms"].as_i64().unwrap())
        })
        .collect()
}

#[test]
fn serve_creates_a_service_record() {
    let sandbox = sandbox();
    let agent = TestAgent::shell("true").spec(
        "schedules: [{ cron: \"0 0 9 * * *\", timezone: Europe/Zurich, input: { task: daily } }]",
    );
    let agent = sandbox.agent(&agent);
    let more = [
        "--name",
        "night-watch",
        "--schedule",
        NEVER_NOW,
        "--schedule",
        NEVER_NOW,
        "--interval-ms",
        "3600000",
        "--label",
        "team=ops",
    ];
    let service = serve(&sandbox, &agent, &more);

    let record = record(&sandbox, "night-watch");
    assert_eq!(record["run_id"], service.as_str());
    assert_eq!(record["kind"], "service");
    assert_eq!(record["process_status"], "running");
    assert_eq!(record["detached"], true);
    assert_eq!(record["labels"]["team"], "ops");
    let operation = &record["operation"];
    assert_eq!(
        (&operation["kind"], &operation["interval_ms"]),
        (&"service".into(), &3_600_000.into())
    );
    let schedules = operation["schedules"].as_array().unwrap();
    assert_eq!(
        schedules.len(),
        2,
        "flags and file are put together without doubles: {operation:#}"
    );
    for schedule in schedules {
        assert_eq!(schedule["run_id"], service.as_str());
        assert!(schedule["next_fire_at"].as_i64() > record["created_at_ms"].as_i64());
        assert_eq!(schedule["last_fired_at"], Value::Null);
    }
    let daily = schedules.iter().find(|it| it["source"] == "agent_file").unwrap();
    assert_eq!(daily["timezone"], "Europe/Zurich");
    assert_eq!(daily["payload"], serde_json::json!({ "task": "daily" }));
    let listed = sandbox.errand(["ps"]).run().ok().stdout();
    assert!(listed.contains("night-watch") && listed.contains("service"), "{listed}");
    stop(&sandbox, &service, &[]);
}

#[test]
fn a_service_survives_idle_waits_without_waking_up_and_then_still_answers() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let more = ["--schedule", NEVER_NOW, "--listen", "127.0.0.1:0"];
    let service = serve(&sandbox, &agent, &more);
    let address = address(&sandbox, &service);
    let helper = pid(&record(&sandbox, &service)["pid"]);
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{helper}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt")).unwrap();
        line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    };
    // The test measures the absence of activity, which takes time, with no level to wait for. Work
    // of a service once after its start, and reading pages that a busy machine dropped, may fall
    // into a window or two; periodic work falls into all of them.
    let windows = std::iter::repeat_with(|| {
        let before = switches();
        std::thread::sleep(Duration::from_millis(1_500));
        switches() - before
    });
    let woken: Vec<u64> = windows.take(10).take_while(|woken| *woken > 3).collect();
    assert!(woken.len() < 10, "an idle service woke up {woken:?} times in 1.5 seconds each");
    assert_eq!(HttpRequest::post("/", "hello").send(&address).status, 202);
    assert_eq!(record(&sandbox, &service)["status"], "running");
    stop(&sandbox, &service, &[]);
}

#[test]
fn a_service_updates_its_record_on_shutdown() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let service = serve(&sandbox, &agent, &["--schedule", NEVER_NOW, "--listen", "127.0.0.1:0"]);
    let address = address(&sandbox, &service);
    let helper = pid(&record(&sandbox, &service)["pid"]);
    stop(&sandbox, &service, &[]);
    let record = record(&sandbox, &service);
    assert_eq!(
        (&record["status"], &record["process_status"]),
        (&"cancelled".into(), &"stopped".into())
    );
    assert_eq!(record["attempts"][0]["status"], "stopped");
    assert!(record["stopped_at_ms"].is_i64());
    assert_eq!(record["operation"]["schedules"][0]["next_fire_at"], Value::Null);
    assert!(std::net::TcpStream::connect(&address).is_err(), "nobody listens any more");
    wait_until("the helper is gone", LIMIT, || !errand_testkit::is_alive(helper));
    let on_disk = sandbox.read(format!(".errand/runs/{service}.json"));
    let on_disk: Value = serde_json::from_str(&on_disk).unwrap();
    assert_eq!(on_disk["status"], "cancelled");
    assert_over(&sandbox, &service);
}

#[test]
fn a_terminated_helper_shuts_its_service_down_in_order() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let service = serve(&sandbox, &agent, &["--restart", "no", "--schedule", NEVER_NOW]);
    signal(&record(&sandbox, &service)["pid"], Signal::TERM);
    wait_for_record(&sandbox, &service, "the service is over", |it| it["status"] == "cancelled");
    assert_over(&sandbox, &service);
}

#[test]
fn a_service_in_the_foreground_ends_with_an_interrupt() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let serving = command(&sandbox, &["serve"], &agent, &["--schedule", NEVER_NOW]).spawn();
    let service = wait_for("the service runs", LIMIT, || {
        let listed = sandbox.errand(["ps", "--json"]).run().ok().json();
        let running = listed[0]["status"] == "running";
        running.then(|| listed[0]["run_id"].as_str().unwrap().to_owned())
    });
    serving.interrupt();
    drop(serving.wait().exits(130));
    assert_over(&sandbox, &service);
}

#[test]
fn a_graceful_stop_lets_the_wake_under_way_finish() {
    let sandbox = sandbox();
    let agent = TestAgent::shell(&format!("echo begun\n{GATE}echo finished\n"));
    let agent = sandbox.agent(&agent);
    let service = serve(&sandbox, &agent, &["--listen", "127.0.0.1:0"]);
    let address = address(&sandbox, &service);
    let client = std::thread::spawn(move || HttpRequest::post("/", "").send(&address).status);
    let wake = wait_for("the wake has begun", LIMIT, || {
        let wake = wakes(&sandbox, &service).pop()?["run_id"].as_str()?.to_owned();
        log(&sandbox, &wake).contains("begun").then_some(wake)
    });
    let stopping = sandbox.errand(["stop", &service]).spawn();
    wait_until("the service was asked to end", LIMIT, || {
        event_types(&sandbox, &service).iter().any(|kind| kind == "run.cancel_requested")
    });
    open_gate(&sandbox);
    drop(stopping.wait().ok());
    assert_eq!(client.join().unwrap(), 202, "whoever waits for the wake is answered");
    assert!(log(&sandbox, &wake).contains("finished"));
    assert_eq!(record(&sandbox, &wake)["status"], "completed");
    assert_over(&sandbox, &service);
}

#[test]
fn a_wake_that_outlasts_the_grace_period_is_stopped_with_its_service() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("echo begun\nsleep 600\n"));
    let service = serve(&sandbox, &agent, &["--interval-ms", "50"]);
    let wake = wait_for("a wake has begun", LIMIT, || {
        let wake = wakes(&sandbox, &service).pop()?["run_id"].as_str()?.to_owned();
        log(&sandbox, &wake).contains("begun").then_some(wake)
    });
    stop(&sandbox, &service, &["--grace-period-ms", "200"]);
    assert_eq!(record(&sandbox, &wake)["status"], "cancelled");
    assert_eq!(record(&sandbox, &service)["status"], "cancelled");
    assert_over(&sandbox, &wake);
    assert_over(&sandbox, &service);
}

#[test]
fn heartbeats_wake_the_agent_again_and_again() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("cat; echo beat"));
    let service = serve(&sandbox, &agent, &["--interval-ms", "100"]);
    wait_until("it beat three times", LIMIT, || wakes(&sandbox, &service).len() >= 3);
    stop(&sandbox, &service, &[]);
    for wake in wakes(&sandbox, &service) {
        assert_eq!(wake["kind"], "heartbeat");
        assert_eq!(wake["status"], "completed", "{wake:#}");
        assert_eq!(wake["parent_run_id"], service.as_str());
    }
}

#[test]
fn a_restart_of_a_live_service_keeps_its_schedules_and_its_past() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let service = serve(&sandbox, &agent, &["--schedule", EVERY_SECOND, "--schedule", NEVER_NOW]);
    wait_until("it fired", LIMIT, || !fired(&sandbox, &service).is_empty());
    let same = sandbox.errand(["restart", &service]).run().ok().stdout_line();
    assert_eq!(same, service, "it lives: this is its next attempt");
    let after = wait_for_record(&sandbox, &service, "attempt 2 runs", |it| {
        it["attempt"] == 2 && it["status"] == "running"
    });
    let schedules = after["operation"]["schedules"].as_array().unwrap();
    assert_eq!(schedules.len(), 2);
    assert!(schedules[0]["last_fired_at"].is_i64(), "{after:#}");
    let before = fired(&sandbox, &service).len();
    wait_until("it fires again", LIMIT, || fired(&sandbox, &service).len() > before);
    stop(&sandbox, &service, &[]);
    assert_each_once(&fired(&sandbox, &service));
}

#[test]
fn slots_that_passed_while_the_service_was_down_are_fired_as_the_agent_file_says() {
    let sandbox = sandbox();
    let once = "schedules: [{ cron: \"* * * * * *\", missed: fire_once, overlap: allow }]";
    let all = "schedules: [{ cron: \"* * * * * *\", missed: fire_all, overlap: allow }]";
    let services = [("once", once), ("all", all)].map(|(name, spec)| {
        let agent = sandbox.agent(&TestAgent::shell("true").named(name).spec(spec));
        let service = serve(&sandbox, &agent, &[]);
        wait_until("it fired", LIMIT, || !fired(&sandbox, &service).is_empty());
        stop(&sandbox, &service, &[]);
        service
    });
    // Slots pass by themselves.
    std::thread::sleep(Duration::from_millis(3_200));
    let [once, all] = [(&services[0], 1), (&services[1], 3)].map(|(old, least)| {
        let new = sandbox.errand(["restart", old]).run().ok().stdout_line();
        assert_eq!(record(&sandbox, &new)["origin_run_id"], old.as_str());
        let missed = || fired(&sandbox, &new).len();
        wait_until("it fired what it missed", LIMIT, || missed() >= least);
        stop(&sandbox, &new, &[]);
        let has_skipped = event_types(&sandbox, &new).iter().any(|kind| kind == "wake.skipped");
        let (before, after) = (fired(&sandbox, old), fired(&sandbox, &new));
        assert_each_once(&[&before[..], &after[..]].concat());
        let gap_ms = after[0].1 - before.last().unwrap().1;
        (gap_ms, after.len(), has_skipped)
    });
    assert_eq!(all.0, 1_000, "the first one missed is the first one fired: {all:?}");
    assert!(all.1 >= 3 && !all.2, "{all:?}");
    assert!(once.0 >= 3_000 && once.2, "only the latest one missed is fired: {once:?}");
}

#[test]
fn wakes_overlap_only_where_the_agent_file_allows_it() {
    let sandbox = sandbox();
    let [skip, queue, allow] = ["skip", "queue", "allow"].map(|policy| {
        // A slot that a busy machine handles too late is not skipped for that.
        let spec = format!(
            "schedules: [{{ cron: \"* * * * * *\", missed: fire_all, overlap: {policy} }}]"
        );
        let agent = TestAgent::shell(&format!("echo begun\n{GATE}")).named(policy).spec(&spec);
        serve(&sandbox, &sandbox.agent(&agent), &[])
    });
    wait_until("three wakes overlap", LIMIT, || wakes(&sandbox, &allow).len() >= 3);
    let skipped = |service: &str| {
        event_types(&sandbox, service).iter().filter(|kind| *kind == "wake.skipped").count()
    };
    wait_until("a wake is skipped", LIMIT, || skipped(&skip) >= 1);
    wait_until("the first in the queue is fired", LIMIT, || !wakes(&sandbox, &queue).is_empty());
    assert_eq!((wakes(&sandbox, &skip).len(), wakes(&sandbox, &queue).len()), (1, 1));
    assert_eq!((skipped(&queue), skipped(&allow)), (0, 0));
    open_gate(&sandbox);
    wait_until("the next in the queue is fired", LIMIT, || wakes(&sandbox, &queue).len() >= 2);
    for service in [&skip, &queue, &allow] {
        stop(&sandbox, service, &[]);
        assert_over(&sandbox, service);
        assert_each_once(&fired(&sandbox, service));
    }
}

/// Panics if a slot of a schedule was fired twice.
fn assert_each_once(fired: &[(String, i64)]) {
    let mut counts: BTreeMap<&(String, i64), usize> = BTreeMap::new();
    for slot in fired {
        *counts.entry(slot).or_default() += 1;
    }
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "fired more than once: {twice:?}");
}

#[test]
fn a_slot_fires_at_most_once_although_the_helper_is_killed_while_it_fires() {
    let sandbox = sandbox();
    let agent = sandbox.agent(&TestAgent::shell("true"));
    let more = ["--restart", "no", "--schedule", EVERY_SECOND];
    let mut services = vec![serve(&sandbox, &agent, &more)];
    // Around the moment at which a slot is due, since nothing is fired at other times.
    for offset_ms in [0_u64, 3, 6, 9, 12, 15, 20, 30, 45, 70] {
        let service = services.last().unwrap().clone();
        let helper = record(&sandbox, &service)["pid"].clone();
        std::thread::sleep(until_next_second() + Duration::from_millis(offset_ms));
        kill(&helper);
        let again = sandbox.errand(["restart", &service]).run().ok().stdout_line();
        services.push(again);
    }
    stop(&sandbox, services.last().unwrap(), &[]);

    let recorded: Vec<_> = services.iter().flat_map(|it| fired(&sandbox, it)).collect();
    assert_each_once(&recorded);
    let children: Vec<Value> = services.iter().flat_map(|it| wakes(&sandbox, it)).collect();
    let slots: Vec<_> = children
        .iter()
        .map(|wake| {
            let payload = &wake["trigger"]["payload"];
            let schedule = payload["schedule_id"].as_str().unwrap().to_owned();
            (schedule, payload["slot_ms"].as_i64().unwrap())
        })
        .collect();
    assert_each_once(&slots);
    assert_eq!(slots.len(), recorded.len(), "what is recorded as fired is a run, and the reverse");
    for wake in &children {
        assert_over(&sandbox, wake["run_id"].as_str().unwrap());
    }
    for service in &services {
        assert_over(&sandbox, service);
        assert_eq!(processes_of_run(service), []);
    }
}

fn until_next_second() -> Duration {
    let into = u64::try_from(errand_agent::SystemClock.now().as_millis() % 1_000).unwrap();
    Duration::from_millis(1_000 - into)
}
