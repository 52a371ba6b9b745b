//! Agents in containers: what a process agent can do, through the real program and a real engine.

use std::io::Read as _;
use std::net::TcpStream;

use errand_testkit::podman::{IMAGE, Podman};
use errand_testkit::{LIMIT, Sandbox, TestAgent, is_alive, wait_until};
use serde_json::Value;

use crate::support::{counted_lines, kill, pid, prints, record, sandbox};
use crate::workers::{Queue, drain, forgetful, worker};

/// Sandbox with an engine; `None` on a machine that cannot have one.
pub(crate) fn world() -> Option<(Sandbox, Podman)> {
    let podman = Podman::shared()?;
    let mut sandbox = sandbox();
    sandbox.set_env("DOCKER_HOST", podman.address());
    Some((sandbox, podman))
}

/// Agent whose script runs in a container.
pub(crate) fn contained(script: &str, more: &str) -> TestAgent {
    let target = format!("target: {{ type: container, image: '{IMAGE}', network: none{more} }}");
    TestAgent::shell(script).spec(&target)
}

pub(crate) fn containers(podman: &Podman, run_id: &str) -> Vec<String> {
    podman.with_label(&format!("dev.errand.run={run_id}"))
}

#[test]
fn an_agent_in_a_container_has_steps_output_artifacts_and_secrets() {
    let Some((mut sandbox, podman)) = world() else { return };
    sandbox.set_env("TOKEN", "a-secret-value");
    let script = "echo got $(cat) and $TOKEN\n\
                  errand agent step one -- echo stepped\n\
                  echo kept > kept.txt; errand agent artifact kept.txt\n\
                  errand agent output done\n";
    let agent = contained(script, "").spec("secrets: [TOKEN]").write_below(&sandbox.repo());
    let run = sandbox.errand(["run", "--json", "--job", "given"]).arg(&agent).run().ok();
    let record: Value = run.json();
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["output"], "done");
    let attempt = &record["attempts"][0];
    assert_eq!((&attempt["target"], &attempt["exit_code"]), (&"container".into(), &0.into()));
    assert!(attempt["container"]["image_digest"].as_str().unwrap().contains("@sha256:"));
    let run_id = record["run_id"].as_str().unwrap();
    let log = sandbox.errand(["logs", run_id]).run().ok().stdout();
    assert!(log.contains("got given and [redacted:TOKEN]") && log.contains("stepped"), "{log}");
    assert_eq!(containers(&podman, run_id), Vec::<String>::new());
}

#[test]
fn an_approval_is_given_to_an_agent_in_a_container() {
    let Some((sandbox, _podman)) = world() else { return };
    let script = "errand agent approve --action deploy --target production\n";
    let agent = contained(script, "").write_below(&sandbox.repo());
    let run_id = sandbox.errand(["run", "-d"]).arg(&agent).run().ok().stdout();
    let run_id = run_id.trim();
    wait_until("the agent asks", LIMIT, || record(&sandbox, run_id)["status"] == "paused");
    let _decided = sandbox.errand(["approve", run_id]).run().ok();
    let _ended = sandbox.errand(["wait", run_id]).run().ok();
    assert_eq!(record(&sandbox, run_id)["status"], "completed");
}

#[test]
fn a_container_is_paused_continued_and_stopped() {
    let Some((sandbox, podman)) = world() else { return };
    let image = ["run", "-d", "--image", IMAGE, "--", "sleep", "1000"];
    let run_id = sandbox.errand(image).run().ok().stdout();
    let run_id = run_id.trim();
    let of_run = containers(&podman, run_id);
    let state = || podman.run(&["inspect", "--format", "{{.State.Status}}", &of_run[0]]);
    wait_until("the engine starts it", LIMIT, || state() == "running");
    let _paused = sandbox.errand(["pause", run_id]).run().ok();
    wait_until("the engine froze it", LIMIT, || state() == "paused");
    let _resumed = sandbox.errand(["resume", run_id]).run().ok();
    wait_until("the engine thawed it", LIMIT, || state() == "running");
    let _stopped = sandbox.errand(["stop", run_id]).run().ok();
    assert_eq!(record(&sandbox, run_id)["status"], "cancelled");
    wait_until("the engine removed it", LIMIT, || containers(&podman, run_id).is_empty());
}

/// Script that prints numbered lines, takes a step in the middle, and goes on for each line of a file.
pub(crate) const COUNTER: &str = "n=0; while [ ! -e go-on ]; do n=$((n+1)); echo line $n; echo odd $n >&2; \
     sleep 0.05; done; errand agent step only -- sh -c 'echo stepped >> steps; echo done'; \
     echo total $n; errand agent output \"total $n\"\n";

#[test]
fn a_container_outlives_its_helper_and_the_next_reader_adopts_it() {
    let Some((sandbox, podman)) = world() else { return };
    let foreign = podman.run(&["run", "-d", "--network", "none", IMAGE, "sleep", "1000"]);
    let agent = contained(COUNTER, "").write_below(&sandbox.repo());
    let run_id = sandbox.errand(["run", "-d"]).arg(&agent).run().ok().stdout();
    let run_id = run_id.trim();
    for adoptions in 0..3 {
        prints(&sandbox, run_id, 10 * (adoptions + 1));
        let before = record(&sandbox, run_id);
        assert_eq!(before["status"], "running", "{before}");
        kill(&before["pid"]);
        wait_until("the helper is gone", LIMIT, || !is_alive(pid(&before["pid"])));
        assert_eq!(containers(&podman, run_id).len(), 1, "it outlives its helper");
        let after = record(&sandbox, run_id);
        assert_eq!(
            (&after["status"], after["attempts"].as_array().unwrap().len()),
            (&"running".into(), 1)
        );
        assert_ne!(after["pid"], before["pid"]);
    }
    assert_counted(&sandbox, run_id, 3);
    assert_eq!(containers(&podman, run_id), Vec::<String>::new());
    let left = podman.run(&["ps", "--all", "--quiet", "--no-trunc"]);
    assert!(left.contains(&foreign), "{left}");
    let _removed = podman.run(&["rm", "-f", "-t", "0", &foreign]);
}

#[test]
fn the_adopter_masks_the_secrets_of_the_tier() {
    let Some((mut sandbox, _podman)) = world() else { return };
    sandbox.set_env("TIER_TOKEN", "a-secret-of-the-tier");
    sandbox.write(
        "tier.yaml",
        "apiVersion: errand.dev/v1\nkind: Tier\nmetadata: { name: t }\nspec: { secrets: [TIER_TOKEN] }\n",
    );
    drop(sandbox.errand(["apply", "-f", "tier.yaml"]).run().ok());
    let script = "echo line 1; until [ -e go-on ]; do sleep 0.1; done; echo after $TIER_TOKEN\n";
    let agent = contained(script, "").spec("tier: t").write_below(&sandbox.repo());
    let run_id = sandbox.errand(["run", "-d"]).arg(&agent).run().ok().stdout();
    let run_id = run_id.trim();
    prints(&sandbox, run_id, 1);
    let before = record(&sandbox, run_id);
    kill(&before["pid"]);
    wait_until("the helper is gone", LIMIT, || !is_alive(pid(&before["pid"])));
    let after = record(&sandbox, run_id);
    let workspace = after["attempts"][0]["workspace"]["path"].as_str().unwrap();
    std::fs::write(std::path::Path::new(workspace).join("go-on"), "").unwrap();
    let _ended = sandbox.errand(["wait", run_id]).run().ok();
    let events = sandbox.errand(["events", run_id]).run().ok().stdout();
    assert!(events.contains("attempt.adopted"), "{events}");
    let log = sandbox.errand(["logs", run_id]).run().ok().stdout();
    assert!(log.contains("after [redacted:TIER_TOKEN]"), "{log}");
    let found = sandbox.tool("grep", ["-rlaF", "a-secret-of-the-tier", ".errand"]).run();
    assert_eq!(found.stdout(), "", "no file of the registry holds the secret");
}

#[test]
fn the_adopter_applies_the_time_limit_of_a_step_that_began_before() {
    let Some((sandbox, podman)) = world() else { return };
    // The call that would report the end of the step is killed: only its supervisor has the limit.
    let script = "errand agent step slow --timeout 4s -- sleep 600 & call=$!\n\
                  until errand agent checkin | grep -q slow; do sleep 0.1; done\n\
                  kill -9 $call; echo line 1; sleep 600\n";
    let agent = contained(script, "").write_below(&sandbox.repo());
    let run_id = sandbox.errand(["run", "-d"]).arg(&agent).run().ok().stdout();
    let run_id = run_id.trim();
    prints(&sandbox, run_id, 1);
    let before = record(&sandbox, run_id);
    kill(&before["pid"]);
    wait_until("the helper is gone", LIMIT, || !is_alive(pid(&before["pid"])));
    wait_until("the step has taken too long", LIMIT, || {
        record(&sandbox, run_id)["status"] == "failed"
    });
    let after = record(&sandbox, run_id);
    assert_eq!(after["attempts"][0]["error"]["code"], "timeout_step", "{after}");
    let events = sandbox.errand(["events", run_id]).run().ok().stdout();
    assert!(events.contains("attempt.adopted"), "{events}");
    assert_eq!(containers(&podman, run_id), Vec::<String>::new());
}

#[test]
fn a_paused_container_whose_helper_is_killed_stays_paused_until_it_is_resumed() {
    let Some((sandbox, podman)) = world() else { return };
    let agent = contained(COUNTER, "").write_below(&sandbox.repo());
    let run_id = sandbox.errand(["run", "-d"]).arg(&agent).run().ok().stdout();
    let run_id = run_id.trim();
    prints(&sandbox, run_id, 5);
    let _paused = sandbox.errand(["pause", run_id]).run().ok();
    let of_run = containers(&podman, run_id);
    let state = || podman.run(&["inspect", "--format", "{{.State.Status}}", &of_run[0]]);
    wait_until("the engine froze it", LIMIT, || state() == "paused");
    let before = record(&sandbox, run_id);
    kill(&before["pid"]);
    wait_until("the helper is gone", LIMIT, || !is_alive(pid(&before["pid"])));
    assert_eq!(record(&sandbox, run_id)["status"], "paused");
    assert_eq!(state(), "paused");
    let _resumed = sandbox.errand(["resume", run_id]).run().ok();
    wait_until("the engine thawed it", LIMIT, || state() == "running");
    assert_counted(&sandbox, run_id, 1);
}

#[test]
fn an_image_with_one_static_program_runs_it() {
    let Some((sandbox, podman)) = world() else { return };
    sandbox.write("image/busybox", std::fs::read("/bin/busybox").unwrap());
    drop(sandbox.tool("chmod", ["755", "image/busybox"]).run().ok());
    drop(sandbox.tool("tar", ["-C", "image", "-cf", "image.tar", "busybox"]).run().ok());
    let archive = sandbox.path("image.tar").display().to_string();
    let _imported = podman.run(&["import", &archive, "localhost/one:1"]);
    let words = ["run", "--image", "localhost/one:1", "--", "/busybox", "echo", "alone"];
    assert_eq!(sandbox.errand(words).run().ok().stdout(), "alone\n");
}

/// Checks that a run of [`COUNTER`] is over, and that its log has each line once.
pub(crate) fn assert_counted(sandbox: &Sandbox, run_id: &str, adoptions: usize) {
    let running = record(sandbox, run_id);
    let workspace = running["attempts"][0]["workspace"]["path"].as_str().unwrap();
    std::fs::write(std::path::Path::new(workspace).join("go-on"), "").unwrap();
    let _ended = sandbox.errand(["wait", run_id]).run().ok();
    assert_eq!(record(sandbox, run_id)["status"], "completed");
    let _lines = counted_lines(sandbox, run_id, adoptions);
}

#[test]
fn the_next_worker_adopts_the_containers_of_a_killed_worker_and_of_one_that_was_asked_to_end() {
    let Some((sandbox, podman)) = world() else { return };
    let queue = Queue::of(&sandbox);
    let run_id = queue.add(&sandbox.agent(&contained(COUNTER, "")));
    let supervisor = || record(&sandbox, &run_id)["attempts"][0]["worker"].clone();
    let first = forgetful(&sandbox, &[]);
    prints(&sandbox, &run_id, 5);
    first.kill();
    drop(first.wait());
    let second = worker(&sandbox, &["--worker-name", "two"]);
    wait_until("it is adopted", LIMIT, || supervisor() == "two");
    prints(&sandbox, &run_id, 20);
    drain(second);
    let of_run = containers(&podman, &run_id);
    assert_eq!(of_run.len(), 1, "it outlives a worker that was asked to end");
    assert_eq!(record(&sandbox, &run_id)["status"], "running", "no reader ends it");
    let third = worker(&sandbox, &["--worker-name", "three"]);
    wait_until("it is adopted", LIMIT, || supervisor() == "three");
    assert_counted(&sandbox, &run_id, 2);
    assert_eq!(containers(&podman, &run_id), Vec::<String>::new());
    drain(third);
}

#[test]
fn the_next_worker_hears_an_approval_that_was_given_while_no_worker_lived() {
    let Some((sandbox, _podman)) = world() else { return };
    let queue = Queue::of(&sandbox);
    let script =
        "errand agent approve --action deploy --target production; errand agent output ok\n";
    let run_id = queue.add(&sandbox.agent(&contained(script, "")));
    let first = worker(&sandbox, &[]);
    wait_until("the agent asks", LIMIT, || record(&sandbox, &run_id)["status"] == "paused");
    drain(first);
    // The command waits for a worker that carries it out.
    let approving = sandbox.errand(["approve", &run_id]).spawn();
    let count = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
                 print(db.execute('SELECT count(*) FROM requests').fetchone()[0])";
    let registry = sandbox.registry().join("registry.db").display().to_string();
    wait_until("the approval is stored", LIMIT, || {
        sandbox.tool("python3", ["-c", count, &registry]).run().ok().stdout() == "1\n"
    });
    let second = worker(&sandbox, &["--worker-name", "two"]);
    drop(approving.wait().ok());
    wait_until("it is over", LIMIT, || record(&sandbox, &run_id)["status"] == "completed");
    let ended = record(&sandbox, &run_id);
    assert_eq!((&ended["output"], &ended["status"]), (&"ok".into(), &"completed".into()));
    drain(second);
}

#[test]
fn what_no_engine_can_do_is_refused_before_the_run_exists() {
    let Some((sandbox, podman)) = world() else { return };
    let check = |arguments: &[&str], address: Option<&str>, code: &str| {
        let exit_code = match code {
            "agent_file_invalid" => 2,
            "image_not_found" => 127,
            _ => 125,
        };
        for way in [&["run"][..], &["run", "-d"]] {
            let run = sandbox.errand(way).args(arguments);
            let run = match address {
                Some(address) => run.env("DOCKER_HOST", address),
                None => run,
            };
            drop(run.run().refuses(exit_code, code));
        }
    };
    let image = ["--image", IMAGE, "--", "true"];
    check(&image, Some("unix:///nowhere"), "engine_unreachable");
    check(&image, Some("tcp://127.0.0.1:1"), "engine_unreachable");
    check(&["--image", "localhost/none:1"], None, "image_not_found");
    let other = format!("localhost/bb@sha256:{}", "0".repeat(64));
    check(&["--image", &other], None, "image_not_found");
    let path = |spec: &str, more: &str| {
        let target = format!("target: {{ type: container, image: '{IMAGE}', {spec} }}");
        sandbox.agent(&TestAgent::shell("true").spec(&target).spec(more))
    };
    for (spec, more) in [
        ("pull: never", "resources: { memory: 2GB }"),
        ("ports: [{ container_port: 80 }, { container_port: 80 }]", ""),
        ("mounts: [{ source: ../other, target: /data }]", ""),
    ] {
        check(&[path(spec, more).to_str().unwrap()], None, "agent_file_invalid");
    }
    let listed: Value = sandbox.errand(["ps", "-a", "--json"]).run().ok().json();
    assert_eq!(listed["runs"].as_array().map_or(0, Vec::len), 0, "{listed}");
    let label = format!("dev.errand.registry={}", sandbox.registry().display());
    assert_eq!(podman.with_label(&label), Vec::<String>::new());
    let run = sandbox.errand(["run", "--json", "--image", IMAGE, "--", "no-such-program"]);
    let record: Value = run.run().json();
    assert_eq!(record["last_error"]["code"], "command_not_found", "{record}");
}

#[test]
fn a_published_port_is_reached_while_the_run_lives() {
    let Some((sandbox, podman)) = world() else { return };
    let target = format!(
        "target: {{ type: container, image: '{IMAGE}', ports: [{{ container_port: 6080 }}] }}"
    );
    let script = "while true; do echo reached | nc -l -p 6080; done\n";
    let agent = sandbox.agent(&TestAgent::shell(script).spec(&target));
    let run_id = sandbox.errand(["run", "-d"]).arg(&agent).run().ok().stdout();
    let run_id = run_id.trim();
    let port = || record(&sandbox, run_id)["attempts"][0]["container"]["ports"][0].clone();
    wait_until("the record has the port", LIMIT, || port()["port"].is_number());
    let port = port();
    assert_eq!((&port["container_port"], &port["protocol"]), (&6080.into(), &"tcp".into()));
    let address = format!("{}:{}", port["host"].as_str().unwrap(), port["port"]);
    let answer = || {
        let mut answer = String::new();
        let connected = TcpStream::connect(&address).ok();
        // The engine's end may accept before the agent listens.
        connected.and_then(|mut it| it.read_to_string(&mut answer).ok());
        answer
    };
    wait_until("the port answers", LIMIT, || answer() == "reached\n");
    let listed = sandbox.errand(["ps"]).run().ok().stdout();
    assert!(listed.contains(&address) && listed.contains("6080"), "{listed}");
    let _stopped = sandbox.errand(["stop", "--force", run_id]).run();
    wait_until("it is removed", LIMIT, || containers(&podman, run_id).is_empty());
    assert!(TcpStream::connect(&address).is_err());
}
