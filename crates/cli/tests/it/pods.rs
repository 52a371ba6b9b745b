//! Agents in Pods: what a process agent can do, through the real program and a cluster of the tests.

use std::path::Path;

use errand_testkit::cluster::{ClusterNode, PodPrograms, ScriptedCluster, can_have_node};
use errand_testkit::{ErrandServer, LIMIT, Sandbox, TestAgent, is_alive, wait_until};
use serde_json::{Value, json};

use crate::support::{counted_lines, kill, pid, prints, record, sandbox};
use crate::workers::{Queue, drain, forgetful, worker};

/// Sandbox with a cluster; `None` on a machine that cannot have a node.
fn world() -> Option<(Sandbox, ScriptedCluster, ClusterNode)> {
    if !can_have_node() {
        return None;
    }
    let cluster = ScriptedCluster::new();
    let programs = Path::new(env!("CARGO_BIN_EXE_errand")).parent().unwrap().to_owned();
    let node = ClusterNode::start(&cluster.kubeconfig(), PodPrograms::Ran(programs));
    let mut sandbox = sandbox();
    sandbox.set_env("KUBECONFIG", cluster.kubeconfig().display().to_string());
    sandbox.set_env("ERRAND_AGENT_API", "tcp://127.0.0.1");
    sandbox.set_env("ERRAND_SHIM_IMAGE", "errand:1");
    Some((sandbox, cluster, node))
}

/// Agent whose script runs in a Pod.
fn in_pod(script: &str) -> TestAgent {
    TestAgent::shell(script).spec("target: { type: kubernetes, image: 'agent:1' }")
}

#[test]
fn an_agent_in_a_pod_has_steps_output_artifacts_and_secrets() {
    let Some((mut sandbox, cluster, _node)) = world() else { return };
    sandbox.set_env("TOKEN", "a-secret-value");
    let script = "echo got $(cat) and $TOKEN\n\
                  errand agent step one -- echo stepped\n\
                  echo kept > kept.txt; errand agent artifact kept.txt\n\
                  errand agent output done\n";
    let agent = in_pod(script).spec("secrets: [TOKEN]").write_below(&sandbox.repo());
    let run = sandbox.errand(["run", "--json", "--job", "given"]).arg(&agent).run().ok();
    let record: Value = run.json();
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["output"], "done");
    let attempt = &record["attempts"][0];
    assert_eq!((&attempt["target"], &attempt["exit_code"]), (&"kubernetes".into(), &0.into()));
    let run_id = record["run_id"].as_str().unwrap();
    let log = sandbox.errand(["logs", run_id]).run().ok().stdout();
    assert!(log.contains("got given and [redacted:TOKEN]") && log.contains("stepped"), "{log}");
    assert_eq!(cluster.all("jobs"), Vec::<Value>::new());
}

#[test]
fn a_pod_is_paused_continued_and_stopped() {
    let Some((sandbox, cluster, _node)) = world() else { return };
    let agent = in_pod("echo ready; sleep 1000\n").write_below(&sandbox.repo());
    let run_id = sandbox.errand(["run", "-d"]).arg(&agent).run().ok().stdout();
    let run_id = run_id.trim();
    let is_marked = || {
        let jobs = cluster.all("jobs");
        !jobs[0]["metadata"]["annotations"]["dev.errand/frozen"].is_null()
    };
    let _paused = sandbox.errand(["pause", run_id]).run().ok();
    assert!(is_marked());
    let _resumed = sandbox.errand(["resume", run_id]).run().ok();
    wait_until("it is thawed", LIMIT, || !is_marked());
    let _stopped = sandbox.errand(["stop", run_id]).run().ok();
    assert_eq!(record(&sandbox, run_id)["status"], "cancelled");
    wait_until("the Job is removed", LIMIT, || cluster.all("jobs").is_empty());
}

#[test]
fn a_run_whose_pod_waits_says_for_what_and_can_be_stopped() {
    let cluster = ScriptedCluster::new();
    let mut sandbox = sandbox();
    sandbox.set_env("KUBECONFIG", cluster.kubeconfig().display().to_string());
    sandbox.set_env("ERRAND_AGENT_API", "tcp://127.0.0.1");
    sandbox.set_env("ERRAND_SHIM_IMAGE", "errand:1");
    let agent = in_pod("echo ready\n").write_below(&sandbox.repo());
    let run_id = sandbox.errand(["run", "-d"]).arg(&agent).run().ok().stdout();
    let run_id = run_id.trim();
    wait_until("the Pod waits", LIMIT, || !cluster.all("pods").is_empty());
    let unscheduled = json!({ "status": { "conditions": [{ "type": "PodScheduled",
        "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available" }] } });
    let pod = cluster.all("pods")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.merge("pods", &pod, &unscheduled);
    let shown = || sandbox.errand(["ps"]).run().ok().stdout();
    wait_until("ps says for what", LIMIT, || shown().contains("(Unschedulable)"));
    let waits = json!({ "reason": "Unschedulable", "message": "0/3 nodes are available" });
    assert_eq!(record(&sandbox, run_id)["attempts"][0]["waits_for"], waits);
    let events = sandbox.errand(["events", run_id]).run().ok().stdout();
    let told = "attempt.waiting Unschedulable 0/3 nodes are available";
    assert!(events.split_whitespace().collect::<Vec<_>>().join(" ").contains(told), "{events}");
    let _stopped = sandbox.errand(["stop", run_id]).run().ok();
    assert_eq!(record(&sandbox, run_id)["status"], "cancelled");
    wait_until("the Job is removed", LIMIT, || cluster.all("jobs").is_empty());
}

/// Script that prints numbered lines, takes a step at the end, and tells the number of lines.
const COUNTER: &str = "n=0; while [ $n -lt 300 ]; do n=$((n+1)); echo line $n; echo odd $n >&2; \
     sleep 0.03; done; errand agent step only -- sh -c 'echo stepped >> steps; echo done'; \
     echo total $n; errand agent output \"total $n\"\n";

/// Checks that a run of [`COUNTER`] ends, and that its log has each line once.
fn assert_counted(sandbox: &Sandbox, run_id: &str, adoptions: usize) {
    wait_until("it is over", LIMIT, || record(sandbox, run_id)["status"] == "completed");
    assert_eq!(counted_lines(sandbox, run_id, adoptions), 300);
}

#[test]
fn a_pod_outlives_its_helper_and_the_next_reader_adopts_it() {
    let Some((sandbox, cluster, _node)) = world() else { return };
    let agent = in_pod(COUNTER).write_below(&sandbox.repo());
    let run_id = sandbox.errand(["run", "-d"]).arg(&agent).run().ok().stdout();
    let run_id = run_id.trim();
    for adoptions in 0..2 {
        prints(&sandbox, run_id, 10 * (adoptions + 1));
        let before = record(&sandbox, run_id);
        assert_eq!(before["status"], "running", "{before}");
        kill(&before["pid"]);
        wait_until("the helper is gone", LIMIT, || !is_alive(pid(&before["pid"])));
        let after = record(&sandbox, run_id);
        assert_ne!(after["pid"], before["pid"]);
    }
    assert_counted(&sandbox, run_id, 2);
    assert_eq!(cluster.all("jobs"), Vec::<Value>::new());
}

#[test]
fn the_next_worker_adopts_the_pods_of_a_killed_worker_and_of_one_that_was_asked_to_end() {
    let Some((sandbox, cluster, _node)) = world() else { return };
    let queue = Queue::of(&sandbox);
    let run_id = queue.add(&sandbox.agent(&in_pod(COUNTER)));
    let supervisor = || record(&sandbox, &run_id)["attempts"][0]["worker"].clone();
    let first = forgetful(&sandbox, &[]);
    prints(&sandbox, &run_id, 5);
    first.kill();
    drop(first.wait());
    let second = worker(&sandbox, &["--worker-name", "two"]);
    wait_until("it is adopted", LIMIT, || supervisor() == "two");
    prints(&sandbox, &run_id, 20);
    drain(second);
    assert_eq!(cluster.all("jobs").len(), 1, "it outlives a worker that was asked to end");
    let third = worker(&sandbox, &["--worker-name", "three"]);
    wait_until("it is adopted", LIMIT, || supervisor() == "three");
    assert_counted(&sandbox, &run_id, 2);
    assert_eq!(cluster.all("jobs"), Vec::<Value>::new());
    drain(third);
}

#[test]
fn what_no_cluster_can_do_is_refused_before_the_run_exists() {
    let sandbox = sandbox();
    let agent = in_pod("true\n").write_below(&sandbox.repo());
    for way in [&["run"][..], &["run", "-d"]] {
        let run = sandbox.errand(way).arg(&agent);
        drop(run.run().refuses(125, "cluster_unconfigured"));
        let run = sandbox.errand(way).arg(&agent).env("ERRAND_AGENT_API", "tcp://127.0.0.1");
        let run = run.env("ERRAND_SHIM_IMAGE", "errand:1").env("KUBECONFIG", "/nonexistent");
        drop(run.run().refuses(125, "cluster_unreachable"));
    }
    assert_eq!(sandbox.errand(["ps", "-a", "--json"]).run().stdout().trim(), "[]");
}

#[test]
fn a_dispatcher_carries_a_task_out_in_a_pod() {
    let Some((sandbox, cluster, _node)) = world() else { return };
    let words = ["dispatcher", "--listen", "127.0.0.1:0"];
    let server = ErrandServer::of(sandbox.errand(words).limit(LIMIT).spawn());
    let task = json!({
        "task_id": "t-1", "agent_image": "agent:1", "command": ["sh", "-c", "echo in a Pod"],
        "runtime_target": { "type": "k8s", "namespace": "tasks" },
    });
    let url = format!("{}/tasks", server.url());
    let post = ["-sS", "--json", &task.to_string(), &url];
    let sent: Value = sandbox.tool("/usr/bin/curl", post).run().ok().json();
    assert_eq!(sent["task_id"], "t-1", "{sent}");
    let state = || -> Value {
        sandbox.tool("/usr/bin/curl", ["-sS", &format!("{url}/t-1")]).run().ok().json()
    };
    wait_until("the task is over", LIMIT, || !state()["completed_at"].is_null());
    assert_eq!(state()["status"], "COMPLETED", "{}", state());
    let log = sandbox.tool("/usr/bin/curl", ["-sS", &format!("{url}/t-1/log")]).run().ok();
    assert!(log.stdout().contains("in a Pod"), "{}", log.stdout());
    wait_until("the Job is removed", LIMIT, || cluster.all("jobs").is_empty());
}
