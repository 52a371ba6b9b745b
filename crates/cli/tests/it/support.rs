//! Shared parts of tests of the program.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use errand_testkit::{LIMIT, Sandbox, TestAgent, processes_of_run, wait_for, wait_until};
use serde_json::Value;

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_errand"))
}

/// Returns the Python of a virtual environment that `cargo xtask test` installs; `None`, with a warning,
/// if it is missing.
pub(crate) fn python_of(environment: &str) -> Option<PathBuf> {
    installed(environment).map(|folder| folder.join("bin/python"))
}

/// Returns a folder of packages that `cargo xtask test` installs; `None`, with a warning, if it is missing.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.join("ready").is_file() {
        return Some(folder);
    }
    warn(&format!("{name} is missing; `cargo xtask test` installs it"));
    None
}

/// Writes a file in the home folder of the sandbox's programs.
pub(crate) fn write_at_home(sandbox: &Sandbox, name: &str, text: &str) {
    let path = sandbox.root().join("home").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Says which test is skipped, past the capture of a passing test's output, so that it is seen.
pub(crate) fn warn(reason: &str) {
    drop(std::fs::write("/dev/stderr", format!("\nSKIPPED: {reason}\n")));
}

/// Returns a search path with these programs, node, and the machine's.
pub(crate) fn path_with_node(programs: &Path) -> OsString {
    let of_machine = std::env::var_os("PATH").unwrap_or_default();
    // A machine without node has it in this environment.
    let node = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("openapi-clients/bin");
    let machine = std::env::split_paths(&of_machine).collect::<Vec<_>>();
    let all = [programs.to_owned()].into_iter().chain(machine).chain([node]);
    std::env::join_paths(all).unwrap()
}

/// Returns an agent that prints `ready` and stays until it is ended.
pub(crate) fn sleeper() -> TestAgent {
    TestAgent::shell("echo ready\nexec sleep 600\n").named("sleeper")
}

/// Starts `errand run -d <agent> <more…>`; returns the run's id.
pub(crate) fn start(sandbox: &Sandbox, agent: &Path, more: &[&str]) -> String {
    let words = [OsStr::new("run"), OsStr::new("-d"), agent.as_os_str()];
    let run_id = sandbox.errand(words).args(more).run().ok().stdout_line();
    assert_eq!(run_id.len(), 20, "`run -d` prints the id and nothing else: {run_id:?}");
    run_id
}

/// Starts an agent like [`sleeper`] and waits until it is ready.
pub(crate) fn start_ready(sandbox: &Sandbox, agent: &Path) -> String {
    let run_id = start(sandbox, agent, &[]);
    ready(sandbox, &run_id);
    run_id
}

/// Waits until the agent of a run prints `ready` and the journal has `attempt.running`.
///
/// Neither implies the other: the first output may be in the log before the event with the process
/// id is written.
pub(crate) fn ready(sandbox: &Sandbox, run_id: &str) {
    wait_until("the agent is ready", LIMIT, || log(sandbox, run_id).contains("ready"));
    wait_for_record(sandbox, run_id, "the journal has it that the agent lives", |record| {
        let last = record["attempts"].as_array().and_then(|attempts| attempts.last());
        last.is_some_and(|attempt| attempt["status"] != "starting")
    });
}

pub(crate) fn record(sandbox: &Sandbox, run_id: &str) -> Value {
    sandbox.errand(["inspect-run", run_id]).run().ok().json()
}

/// Returns the output of `errand logs`: the agent's stdout, then its stderr and the lines of its
/// lifecycle.
pub(crate) fn log(sandbox: &Sandbox, run_id: &str) -> String {
    let output = sandbox.errand(["logs", run_id]).run().ok();
    output.stdout() + &output.stderr()
}

/// Returns all records, newest first.
pub(crate) fn all(sandbox: &Sandbox) -> Vec<Value> {
    let listed = sandbox.errand(["ps", "-a", "--json"]).run().ok().json();
    listed.as_array().expect("ps --json is an array").clone()
}

/// Returns the types of a run's events, in order.
pub(crate) fn event_types(sandbox: &Sandbox, run_id: &str) -> Vec<String> {
    let events = sandbox.errand(["events", run_id, "--json"]).run().ok().json_lines();
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// Waits for the end, good or bad; returns the record.
pub(crate) fn finish(sandbox: &Sandbox, run_id: &str) -> Value {
    drop(sandbox.errand(["wait", run_id]).run());
    record(sandbox, run_id)
}

/// Waits until a record satisfies `is_so`; returns it.
pub(crate) fn wait_for_record(
    sandbox: &Sandbox,
    run_id: &str,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    wait_for(what, LIMIT, || Some(record(sandbox, run_id)).filter(|record| is_so(record)))
}

/// Panics unless the run is over: terminal, sealed, and without a live process.
pub(crate) fn assert_over(sandbox: &Sandbox, run_id: &str) {
    let record = record(sandbox, run_id);
    let status = record["status"].as_str().unwrap();
    assert!(["completed", "failed", "cancelled"].contains(&status), "{record:#}");
    assert_eq!(processes_of_run(run_id), [], "no process of a run outlives it");
    drop(sandbox.errand(["verify", run_id]).run().ok());
    let terminal =
        |kind: &&String| ["run.completed", "run.failed", "run.cancelled"].contains(&kind.as_str());
    assert_eq!(event_types(sandbox, run_id).iter().filter(terminal).count(), 1);
}

/// Starts `errand serve -d <agent> <more…>`; returns the service's id once it runs.
pub(crate) fn serve(sandbox: &Sandbox, agent: &Path, more: &[&str]) -> String {
    let words = [OsStr::new("serve"), OsStr::new("-d"), agent.as_os_str()];
    let service = sandbox.errand(words).args(more).run().ok().stdout_line();
    wait_for_record(sandbox, &service, "the service runs", |record| record["status"] == "running");
    service
}

/// Returns the address of the service's only listener.
pub(crate) fn address(sandbox: &Sandbox, service: &str) -> String {
    wait_for("the listener is bound", LIMIT, || {
        let record = record(sandbox, service);
        record["operation"]["listeners"][0]["bound_addr"].as_str().map(str::to_owned)
    })
}

/// Returns the records of a service's wakes, oldest first.
pub(crate) fn wakes(sandbox: &Sandbox, service: &str) -> Vec<Value> {
    let mut all = all(sandbox);
    all.retain(|run| run["parent_run_id"] == service);
    all.reverse();
    all
}

/// Returns a process id in a record.
pub(crate) fn pid(of: &Value) -> u32 {
    u32::try_from(of.as_u64().expect("a process id")).unwrap()
}

/// Sends `signal` to the process whose id a record names.
pub(crate) fn signal(of: &Value, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid(of)).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Kills the process whose id a record names, and waits until it is dead: when `kill` returns, the
/// signal is only sent, and other processes may still see the process alive.
pub(crate) fn kill(of: &Value) {
    signal(of, rustix::process::Signal::KILL);
    wait_until("the process is dead", LIMIT, || !errand_testkit::is_alive(pid(of)));
}

/// Waits until no process of the sandbox is alive: a run is over before its helper, which writes
/// the files of the run last. A test that changes those files or the registry waits for that.
pub(crate) fn nobody_left(sandbox: &Sandbox) {
    wait_until("no process of the sandbox lives", LIMIT, || sandbox.processes().is_empty());
}

/// Opens the gate for agents that wait with [`GATE`].
pub(crate) fn open_gate(sandbox: &Sandbox) {
    std::fs::write(sandbox.root().join("home/go"), "").unwrap();
}

/// A line of shell that waits for [`open_gate`].
pub(crate) const GATE: &str = "while [ ! -e \"$HOME/go\" ]; do sleep 0.01; done\n";

/// Returns a command of the program for an agent, such as `errand run <agent> <more…>`.
pub(crate) fn command<'s>(
    sandbox: &'s Sandbox,
    words: &[&str],
    agent: &Path,
    more: &[&str],
) -> errand_testkit::Command<'s> {
    sandbox.errand(words).arg(agent).args(more)
}

/// Returns `errand run <agent> <more…>` in the foreground.
pub(crate) fn run<'s>(
    sandbox: &'s Sandbox,
    agent: &Path,
    more: &[&str],
) -> errand_testkit::Command<'s> {
    command(sandbox, &["run"], agent, more)
}

/// Returns the data of a run's events of one type.
pub(crate) fn events(sandbox: &Sandbox, run_id: &str, kind: &str) -> Vec<Value> {
    let lines = sandbox.errand(["events", "--json", run_id]).run().ok().json_lines();
    lines.into_iter().filter(|e| e["type"] == kind).map(|e| e["data"].clone()).collect()
}

/// Runs a script to its end; returns its output and its record.
pub(crate) fn ran(sandbox: &Sandbox, agent: &TestAgent, more: &[&str]) -> (String, Value) {
    let agent = sandbox.agent(agent);
    let output = run(sandbox, &agent, more).run();
    let newest = all(sandbox)[0]["run_id"].as_str().unwrap().to_owned();
    (output.stdout(), record(sandbox, &newest))
}

/// Checks a completed run of an agent that printed numbered lines to both streams, took a step, and put
/// out their number: one attempt, so many adoptions, and each line once. Returns the number of lines.
pub(crate) fn counted_lines(sandbox: &Sandbox, run_id: &str, adoptions: usize) -> usize {
    let record = record(sandbox, run_id);
    assert_eq!(record["attempts"].as_array().unwrap().len(), 1, "{record}");
    let logs = sandbox.errand(["logs", run_id]).run().ok();
    let log = format!("{}\n{}", logs.stdout(), logs.stderr());
    let total = log.lines().filter(|line| line.starts_with("line ")).count();
    for stream in ["line", "odd"] {
        let prefix = format!("{stream} ");
        let numbers: Vec<usize> =
            log.lines().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok()).collect();
        assert_eq!(numbers, (1..=total).collect::<Vec<_>>(), "{log}");
    }
    assert_eq!(record["output"], format!("total {total}"));
    let events = sandbox.errand(["events", run_id]).run().ok().stdout();
    assert_eq!(events.matches("attempt.adopted").count(), adoptions, "{events}");
    assert_eq!(events.matches("step.completed").count(), 1, "{events}");
    total
}

/// Waits until an agent that prints numbered lines has printed that one.
pub(crate) fn prints(sandbox: &Sandbox, run_id: &str, number: usize) {
    let line = format!("line {number}\n");
    wait_until("it prints", LIMIT, || {
        sandbox.errand(["logs", run_id]).run().stdout().contains(&line)
    });
}
