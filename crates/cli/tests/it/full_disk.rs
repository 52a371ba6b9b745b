//! Full disks: the attempt ends, the command exits, and the record tells the reason.

use errand_testkit::{ErrandServer, LIMIT, Sandbox, TestAgent, Tmpfs, wait_until};
use serde_json::{Value, json};

use crate::support::{GATE, all, assert_over, finish, open_gate, ready, run, start_ready};

/// Enough for a registry and a short run, and less than [`flood`] prints.
const SMALL: u64 = 4 * 1024 * 1024;
/// Prints 20 MB.
const FLOOD: &str = "head -c 20000000 /dev/zero | tr '\\0' x | fold -w 100";

fn flood(then: &str) -> TestAgent {
    TestAgent::shell(&format!("{FLOOD}\n{then}\n")).named("flood")
}

fn small_disk() -> Option<(Tmpfs, Sandbox)> {
    let disk = Tmpfs::mount(SMALL)?;
    let sandbox = Sandbox::in_folder(&disk.path(), env!("CARGO_BIN_EXE_errand"));
    Some((disk, sandbox))
}

/// Panics unless the only run failed for a full disk, and none of its processes is alive.
fn assert_disk_full(sandbox: &Sandbox) -> Value {
    let record = all(sandbox).remove(0);
    assert_eq!(record["status"], "failed", "{record:#}");
    assert_eq!(record["last_error"]["code"], "disk_full", "{record:#}");
    assert_over(sandbox, record["run_id"].as_str().unwrap());
    record
}

/// Panics if a file of reserved space is left.
fn assert_nothing_reserved(sandbox: &Sandbox) {
    let runs = std::fs::read_dir(sandbox.registry().join("runs")).unwrap();
    let names = runs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let reserved: Vec<_> = names.filter(|name| name.ends_with(".reserve")).collect();
    assert_eq!(reserved, Vec::<String>::new());
}

#[test]
fn a_run_whose_own_log_fills_the_disk_ends() {
    let Some((_disk, sandbox)) = small_disk() else { return };
    let agent = sandbox.agent(&flood("echo done"));
    let ended = run(&sandbox, &agent, &[]).run().exits(125);
    assert!(ended.stderr().contains("error[disk_full]"), "{}", ended.describe());
    assert_disk_full(&sandbox);
    assert_nothing_reserved(&sandbox);
}

#[test]
fn an_agent_that_lives_on_after_its_log_filled_the_disk_is_ended() {
    let Some((_disk, sandbox)) = small_disk() else { return };
    let agent = sandbox.agent(&flood("sleep 600"));
    drop(sandbox.errand(["run", "-d"]).arg(&agent).run().ok());
    drop(sandbox.errand(["wait", &id(&sandbox)]).run().exits(125));
    assert_disk_full(&sandbox);
}

fn id(sandbox: &Sandbox) -> String {
    all(sandbox)[0]["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_step_that_cannot_be_recorded_on_a_full_disk_fails_the_call_and_ends_the_attempt() {
    let Some((disk, sandbox)) = small_disk() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    let heard = elsewhere.path().join("heard");
    let script = format!(
        "echo ready\n{GATE}i=0\nwhile errand agent step s$i -- true 2> {}; do i=$((i+1)); done\n\
         sleep 600\n",
        heard.display()
    );
    let agent = sandbox.agent(&TestAgent::shell(&script));
    let run_id = start_ready(&sandbox, &agent);
    open_gate(&sandbox);
    let filler = disk.fill(0);
    let record = finish(&sandbox, &run_id);
    assert_eq!(record["last_error"]["code"], "disk_full", "{record:#}");
    let heard = std::fs::read_to_string(heard).unwrap();
    assert!(heard.contains("disk_full"), "{heard:?}");
    std::fs::remove_file(filler).unwrap();
    assert_disk_full(&sandbox);
    drop(sandbox.errand(["registry", "check", "--repair"]).run());
    drop(sandbox.errand(["registry", "check"]).run().ok());
}

#[test]
fn the_end_of_a_run_without_disk_space_is_recorded_once_space_is_free() {
    let Some((disk, sandbox)) = small_disk() else { return };
    let agent = sandbox.agent(&TestAgent::shell(&format!(
        "echo ready\n{GATE}i=0\nwhile errand agent step s$i -- true; do i=$((i+1)); done\nsleep 600\n"
    )));
    let mut running = run(&sandbox, &agent, &[]).spawn();
    running.wait_for_stdout("ready");
    ready(&sandbox, &id(&sandbox));
    // Fills freed space for as long as it is alive.
    let filler = disk.path().join("filler");
    let script = "while :; do cat /dev/zero >> \"$0\" 2> /dev/null; sleep 0.01; done";
    let eater = sandbox.tool("sh", ["-c", script, filler.to_str().unwrap()]).spawn();
    open_gate(&sandbox);
    wait_until("the run is ended", LIMIT, || !running.is_running());
    let ended = running.wait().exits(125);
    assert!(ended.stderr().contains("error[disk_full]"), "{}", ended.describe());
    eater.kill();
    drop(eater.wait());
    std::fs::remove_file(filler).unwrap();
    assert_disk_full(&sandbox);
}

#[test]
fn an_attempt_that_cannot_be_prepared_on_a_full_disk_fails_with_disk_full() {
    let Some((_disk, sandbox)) = small_disk() else { return };
    let agent = sandbox.agent(&TestAgent::shell("true"));
    // The admitted input is stored once, and there is no room for a second copy as the agent's
    // file.
    drop(run(&sandbox, &agent, &[]).run().ok());
    let payload = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(payload.path(), vec![b'x'; 2_200_000]).unwrap();
    let job = format!("@{}", payload.path().display());
    drop(run(&sandbox, &agent, &["--job", &job]).run().refuses(125, "disk_full"));
    let failed = all(&sandbox).into_iter().find(|run| run["status"] == "failed").unwrap();
    assert_eq!(failed["last_error"]["code"], "disk_full", "{failed:#}");
}

#[test]
fn a_server_ends_a_run_that_fills_its_disk_and_serves_on() {
    let Some((_disk, sandbox)) = small_disk() else { return };
    let server = ErrandServer::start(&sandbox, &[]);
    let agent = sandbox.agent(&flood("sleep 600"));
    assert_eq!(server.push(&agent).status, 201);
    let record = server.post("/v1/runs/wait?timeout=60s", &json!({ "agent": "flood" })).json();
    assert_eq!(record["last_error"]["code"], "disk_full", "{record:#}");
    std::fs::remove_file(record["log_path"].as_str().unwrap()).unwrap();
    let small = sandbox.agent(&TestAgent::shell("true").named("small"));
    assert_eq!(server.push(&small).status, 201);
    let record = server.post("/v1/runs/wait?timeout=60s", &json!({ "agent": "small" })).json();
    assert_eq!(record["status"], "completed", "{record:#}");
}
