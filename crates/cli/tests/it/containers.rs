//! Agents in containers: what a process agent can do, through the real program and a real engine.

use errand_testkit::podman::{IMAGE, Podman};
use errand_testkit::{LIMIT, Sandbox, TestAgent, is_alive, wait_until};
use serde_json::Value;

use crate::support::{kill, pid, record, sandbox};

/// Sandbox with an engine; `None` on a machine that cannot have one.
fn world() -> Option<(Sandbox, Podman)> {
    let podman = Podman::shared()?;
    let mut sandbox = sandbox();
    sandbox.set_env("DOCKER_HOST", podman.address());
    Some((sandbox, podman))
}

/// Agent whose script runs in a container.
fn contained(script: &str, more: &str) -> TestAgent {
    let target = format!("target: {{ type: container, image: '{IMAGE}', network: none{more} }}");
    TestAgent::shell(script).spec(&target)
}

fn containers(podman: &Podman, run_id: &str) -> Vec<String> {
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

#[test]
fn the_container_of_a_killed_helper_is_removed_by_the_next_reader_and_others_stay() {
    let Some((sandbox, podman)) = world() else { return };
    let foreign = podman.run(&["run", "-d", "--network", "none", IMAGE, "sleep", "1000"]);
    let image = ["run", "-d", "--image", IMAGE, "--", "sleep", "1000"];
    let run_id = sandbox.errand(image).run().ok().stdout();
    let run_id = run_id.trim();
    let helper = record(&sandbox, run_id)["pid"].clone();
    kill(&helper);
    wait_until("the helper is gone", LIMIT, || !is_alive(pid(&helper)));
    assert_eq!(containers(&podman, run_id).len(), 1, "it outlives its helper");
    let record = record(&sandbox, run_id);
    assert_eq!(
        (&record["status"], &record["last_error"]["code"]),
        (&"failed".into(), &"helper_died".into())
    );
    assert_eq!(containers(&podman, run_id), Vec::<String>::new());
    let left = podman.run(&["ps", "--all", "--quiet", "--no-trunc"]);
    assert!(left.contains(&foreign), "{left}");
    let _removed = podman.run(&["rm", "-f", "-t", "0", &foreign]);
}

#[test]
fn what_no_engine_can_do_is_refused_with_a_code() {
    let Some((sandbox, _podman)) = world() else { return };
    let code = |arguments: &[&str], address: Option<&str>| {
        let run = sandbox.errand(["run", "--json"]).args(arguments);
        let run = match address {
            Some(address) => run.env("DOCKER_HOST", address),
            None => run,
        };
        let record: Value = run.run().json();
        record["last_error"]["code"].as_str().unwrap_or_default().to_owned()
    };
    let image = ["--image", IMAGE, "--", "true"];
    assert_eq!(code(&image, Some("unix:///nowhere")), "engine_unreachable");
    assert_eq!(code(&image, Some("tcp://127.0.0.1:1")), "engine_unreachable");
    assert_eq!(code(&["--image", "localhost/none:1"], None), "image_not_found");
    assert_eq!(code(&["--image", IMAGE, "--", "no-such-program"], None), "command_not_found");
}
