//! A gateway and workers that share a PostgreSQL database but no folder, as on several machines.

use std::fs::File;
use std::time::{Duration, SystemTime};

use errand_testkit::postgres::Database;
use errand_testkit::s3::{BUCKET, S3Server};
use errand_testkit::{
    ErrandServer, LIMIT, ProgramOutput, RunningProgram, Sandbox, TestAgent, wait_until,
};
use serde_json::{Value, json};

use crate::support::{GATE, open_gate, sandbox};

/// Makes the database that all machines share.
fn database() -> Database {
    let sandbox = sandbox();
    Database::prepared("machines", |url| {
        drop(sandbox.errand(["migrate", "--database", url]).run().ok());
    })
}

/// Starts a gateway on a machine that runs nothing.
fn gateway(machine: &Sandbox, database: &Database) -> ErrandServer {
    ErrandServer::start(machine, &["--slots", "0", "--database", &database.url()])
}

fn worker(machine: &Sandbox, database: &Database) -> RunningProgram {
    let words = ["worker", "--slots", "2", "--lease", "5s", "--database"];
    let worker = machine.errand(words).arg(database.url()).limit(LIMIT * 4).spawn();
    worker.wait_for_stderr("slots");
    worker
}

fn ask(server: &ErrandServer, machine: &Sandbox, words: &[&str]) -> ProgramOutput {
    machine.errand(["--server", &server.url()]).args(words).run()
}

/// Starts a run of a registered agent.
fn start(server: &ErrandServer, name: &str) -> String {
    let record: Value = server.post("/v1/runs", &json!({ "agent": name })).expect(202).json();
    record["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn machines_find_the_place_of_the_blobs_in_the_database() {
    let Some(s3) = S3Server::start() else { return };
    let (mut near, mut far) = (sandbox(), sandbox());
    for (name, value) in s3.variables() {
        near.set_env(name, value.clone());
        far.set_env(name, value);
    }
    let database = database();
    let place = format!("s3://{BUCKET}/fleet");
    let server = ErrandServer::start(
        &near,
        &["--slots", "0", "--database", &database.url(), "--blobs", &place],
    );
    let worker = worker(&far, &database);
    let script = "head -c 100000 /dev/zero > big; errand agent artifact big --name big\n\
                  errand agent brief > \"$ERRAND_OUTPUT\"\n";
    drop(server.push(&near.agent(&TestAgent::shell(script).named("maker"))).expect(201));
    let asked = json!({ "agent": "maker", "instructions": "Make it." });
    let record: Value = server.post("/v1/runs", &asked).expect(202).json();
    let run_id = record["run_id"].as_str().unwrap();
    drop(ask(&server, &near, &["wait", run_id]).ok());
    let record = server.get(&format!("/v1/runs/{run_id}")).expect(200).json();
    assert_eq!(record["output"]["instructions"], "Make it.", "{record}");
    let artifact = server.get(&format!("/v1/runs/{run_id}/artifacts/big")).expect(200);
    assert_eq!(artifact.body.len(), 100_000);
    let keys = s3.keys();
    let brief = format!("fleet/briefs/{run_id}/");
    assert!(keys.iter().any(|key| key.starts_with(&brief)), "{keys:?}");
    worker.terminate();
    drop(worker.wait());
}

/// Returns the files of a run in a machine's registry.
fn files_of(machine: &Sandbox, run_id: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(machine.registry().join("runs")) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(run_id)).collect()
}

#[test]
fn the_log_of_a_run_on_another_machine_is_there_while_it_runs_and_afterwards() {
    let (near, far, other) = (sandbox(), sandbox(), sandbox());
    let database = database();
    let server = gateway(&near, &database);
    let worker = worker(&far, &database);
    let script = format!(
        "echo ready; echo aside >&2\n{GATE}\
         for n in 1 2 3; do echo \"line $n\"; done\nprintf 'the end'\n"
    );
    let agent = TestAgent::shell(&script).named("talker");
    drop(server.push(&near.agent(&agent)).expect(201));
    let run_id = start(&server, "talker");
    let follower =
        near.errand(["--server", &server.url(), "logs", "-f", &run_id]).limit(LIMIT * 2).spawn();
    wait_until("the follower sees what is said", LIMIT, || follower.stdout().contains("ready"));
    assert_eq!(ask(&server, &near, &["logs", &run_id]).ok().stdout(), "ready\n");
    drop(ask(&server, &near, &["export", &run_id, "--live", "-o", "live.tar"]).ok());
    drop(near.errand(["verify", "live.tar"]).run().ok());

    open_gate(&far);
    let all = "ready\nline 1\nline 2\nline 3\nthe end";
    let followed = follower.wait().ok();
    assert_eq!((followed.stdout().trim_end(), followed.stderr().trim_end()), (all, "aside"));
    // Read at the very moment the run is over: nothing is missing.
    drop(ask(&server, &near, &["wait", &run_id]).ok());
    let whole = server.get(&format!("/v1/runs/{run_id}/log")).expect(200).body;
    assert!(whole.contains("attempt 1 ended (exit code 0): run completed"), "{whole}");
    assert_eq!(ask(&server, &near, &["logs", &run_id]).ok().stdout().trim_end(), all);
    let log = std::fs::read_to_string(far.registry().join(format!("runs/{run_id}.log"))).unwrap();
    assert_eq!(whole, log, "byte by byte what its worker wrote");

    let file = near.path("run.tar");
    let file = file.to_str().unwrap();
    drop(ask(&server, &near, &["export", &run_id, "-o", file]).ok());
    drop(other.errand(["verify", file]).run().ok());
    drop(other.errand(["import", file]).run().ok());
    let imported = other.errand(["logs", "--system", &run_id]).run().ok();
    assert!(imported.stderr().contains("attempt 1 ended (exit code 0)"), "{}", imported.describe());
    assert_eq!(imported.stdout().trim_end(), all);

    // A copy that was not read for long is removed, and made again when it is needed.
    let begins = near.registry().join(format!("runs/{run_id}.shared.begins"));
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(24);
    File::options().append(true).open(begins).unwrap().set_modified(long_ago).unwrap();
    let another = gateway(&near, &database);
    wait_until("the copy is removed", LIMIT, || {
        !files_of(&near, &run_id).iter().any(|name| name.contains(".shared."))
    });
    assert_eq!(ask(&another, &near, &["logs", &run_id]).ok().stdout().trim_end(), all);

    drop(ask(&server, &near, &["rm", &run_id]).ok());
    assert_eq!(files_of(&near, &run_id), [] as [String; 0], "its copy goes with it");
    worker.terminate();
    drop(worker.wait());
}

#[test]
fn a_gateway_that_never_saw_an_agent_starts_it_does_it_again_and_exports_it() {
    let machines = [sandbox(), sandbox(), sandbox(), sandbox(), sandbox()];
    let [near, far, starts, restarts, exports] = &machines;
    let database = database();
    let worker = worker(far, &database);
    let agent = TestAgent::shell("echo hello\n").named("hello").file("more.txt", "more");
    let server = gateway(near, &database);
    drop(server.push(&near.agent(&agent)).expect(201));

    let server = gateway(starts, &database);
    let run_id = start(&server, "hello");
    drop(ask(&server, starts, &["wait", &run_id]).ok());

    let server = gateway(restarts, &database);
    let again = ask(&server, restarts, &["restart", &run_id]).ok().stdout_line();
    drop(ask(&server, restarts, &["wait", &again]).ok());
    assert_eq!(ask(&server, restarts, &["logs", &again]).ok().stdout(), "hello\n");

    let server = gateway(exports, &database);
    drop(ask(&server, exports, &["export", &again, "-o", "run.tar"]).ok());
    drop(exports.errand(["verify", "run.tar"]).run().ok());
    worker.terminate();
    drop(worker.wait());
}
