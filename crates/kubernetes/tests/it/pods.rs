//! Agents in Pods: what a Pod gets and gives back, adoption, and Pods that are lost.

use std::time::Duration;

use errand_agent::log::marker;
use errand_agent::target::{
    AgentOutput, Exit, LaunchSpec, Live, OrphanedAgent, SharedAccess, SharedPath, Target,
};
use errand_model::error_code::ErrorCode;
use errand_testkit::conformance::{Program, TestAttempt};
use errand_testkit::{LIMIT, wait_until};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{World, spec};

async fn started(world: &World, attempt: &TestAttempt, spec: &LaunchSpec) -> Box<dyn Live> {
    let start = world.target.start(spec, logged_output(attempt));
    timeout(LIMIT, start).await.unwrap().unwrap()
}

async fn exit(live: &dyn Live) -> Exit {
    timeout(LIMIT, live.wait()).await.unwrap().unwrap()
}

fn shell(attempt: &TestAttempt, script: &str) -> LaunchSpec {
    let argv = ["/bin/sh", "-c", script].map(Into::into).to_vec();
    LaunchSpec { argv, ..spec(attempt, Program::Prints) }
}

/// Output of an attempt whose log says that the attempt began.
fn logged_output(attempt: &TestAttempt) -> AgentOutput {
    let output = attempt.output();
    output.log.system(&marker::began(attempt.spec(Program::Prints).attempt, "initial"));
    output
}

fn orphan(attempt: &TestAttempt, live: &dyn Live) -> OrphanedAgent {
    OrphanedAgent {
        run_id: attempt.run_id.clone(),
        attempt: attempt.spec(Program::Prints).attempt,
        locator: live.locator(),
        has_memory_limit: false,
    }
}

async fn adopted(
    target: &dyn Target,
    attempt: &TestAttempt,
    agent: &OrphanedAgent,
) -> Box<dyn Live> {
    assert!(target.can_adopt(agent));
    timeout(LIMIT, target.adopt(agent, attempt.output())).await.unwrap().unwrap()
}

/// Lets the tasks of a supervisor that is gone end.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_job_has_what_makes_it_safe_and_nothing_secret() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let mut spec = shell(&attempt, "echo \"$SECRET\"; sleep 1000");
    spec.env.push(("SECRET".into(), "hidden-value".into()));
    spec.memory_limit_bytes = Some(64 * 1024 * 1024);
    spec.time_limit = Some(Duration::from_secs(60));
    let live = started(&world, &attempt, &spec).await;
    let jobs = world.cluster.all("jobs");
    let (job, text) = (&jobs[0]["spec"], jobs[0].to_string());
    assert!(!text.contains("hidden-value"), "{text}");
    let pod = &job["template"]["spec"];
    let expect = json!([0, 1, 1, "Failed", "Never", false, "67108864"]);
    let found = json!([
        job["backoffLimit"],
        job["completions"],
        job["parallelism"],
        job["podReplacementPolicy"],
        pod["restartPolicy"],
        pod["automountServiceAccountToken"],
        pod["containers"][0]["resources"]["limits"]["memory"],
    ]);
    assert_eq!(found, expect);
    assert_eq!(job["podFailurePolicy"]["rules"][0]["action"], "FailJob");
    assert!(job["activeDeadlineSeconds"].as_u64().unwrap() > 60);
    let secret = &world.cluster.all("secrets")[0]["metadata"];
    assert_eq!(secret["ownerReferences"][0]["uid"], jobs[0]["metadata"]["uid"]);
    live.stop(Duration::ZERO);
    let exit = exit(live.as_ref()).await;
    assert_eq!((exit.code, exit.signal), (None, Some(9)), "{exit:?}");
    let left = |resource: &str| world.cluster.all(resource);
    wait_until("everything is removed", LIMIT, || {
        ["jobs", "secrets", "pods"].iter().all(|resource| left(resource).is_empty())
    });
    live.settled().await;
    assert_eq!(world.target.kept(), []);
}

#[tokio::test]
async fn files_go_into_a_pod_and_come_back() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let made = tempfile::tempdir().unwrap();
    let (parcel, work) = (made.path().join("parcel"), made.path().join("work"));
    for folder in [&parcel, &work] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(parcel.join("given"), vec![b'x'; 100_000]).unwrap();
    std::fs::write(work.join("old"), "").unwrap();
    let script = format!(
        "cp {}/given copy; rm old; mkdir -p a/b; echo new > a/b/c; ln -s /etc/passwd link; \
         echo set > $ERRAND_OUTPUT",
        parcel.display()
    );
    let mut spec = shell(&attempt, &script);
    let output = made.path().join("scratch/output");
    std::fs::create_dir(made.path().join("scratch")).unwrap();
    spec.env.push(("ERRAND_OUTPUT".into(), output.clone().into()));
    spec.cwd.clone_from(&work);
    spec.folder = made.path().join("scratch");
    let shared = |path: &std::path::Path, access| SharedPath { path: path.to_owned(), access };
    spec.shared = vec![
        shared(&parcel, SharedAccess::Read),
        shared(&work, SharedAccess::Own),
        shared(&spec.folder.clone(), SharedAccess::Own),
    ];
    let live = started(&world, &attempt, &spec).await;
    let exit = exit(live.as_ref()).await;
    assert_eq!((exit.code, exit.stderr_tail.as_deref()), (Some(0), None), "{exit:?}");
    assert_eq!(std::fs::read(work.join("copy")).unwrap().len(), 100_000);
    assert_eq!(std::fs::read_to_string(work.join("a/b/c")).unwrap(), "new\n");
    assert_eq!(std::fs::read_to_string(output).unwrap(), "set\n");
    assert!(!work.join("old").exists() && !work.join("link").exists());
}

#[tokio::test]
async fn an_agent_is_adopted_with_all_of_its_output() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let script = "n=0; while [ ! -e /tmp/go-on ]; do n=$((n+1)); printf \"$n \"; echo e$n >&2; \
                  [ $n -lt 2000 ] || touch /tmp/go-on; sleep 0.001; done; printf last; exit 3";
    let spec = shell(&attempt, script);
    let mut live = started(&world, &attempt, &spec).await;
    let mut targets = Vec::new();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let agent = orphan(&attempt, live.as_ref());
        drop(live);
        settle().await;
        let target = world.another_target();
        live = adopted(target.as_ref(), &attempt, &agent).await;
        targets.push(target);
    }
    let exit = exit(live.as_ref()).await;
    assert_eq!(exit.code, Some(3), "{exit:?}");
    let log = attempt.log();
    let errors: Vec<u32> =
        log.lines().filter_map(|line| line.split_once(" stderr F e")?.1.parse().ok()).collect();
    assert_eq!(errors, (1..=2000).collect::<Vec<_>>());
    let expect: String = (1..=2000).map(|n| format!("{n} ")).chain(["last".to_owned()]).collect();
    assert_eq!(String::from_utf8_lossy(exit.stdout.in_memory()), expect);
}

#[tokio::test]
async fn an_evicted_pod_is_lost_and_says_why() {
    let Some(world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let live = started(&world, &attempt, &spec(&attempt, Program::Sleeps)).await;
    let pod = world.cluster.all("pods")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let condition = json!({ "type": "DisruptionTarget", "status": "True",
        "reason": "EvictionByEvictionAPI", "message": "evicted" });
    let change = json!({
        "metadata": { "deletionTimestamp": "2099-01-01T00:00:00Z",
                      "deletionGracePeriodSeconds": 5 },
        "status": { "conditions": [condition] },
    });
    world.cluster.merge("pods", &pod, &change);
    let exit = exit(live.as_ref()).await;
    let failure = exit.failure.unwrap();
    assert_eq!(failure.code, ErrorCode::PodLost);
    assert!(failure.message.contains("EvictionByEvictionAPI: evicted"), "{failure:?}");
}

#[tokio::test]
async fn a_pod_on_a_lost_node_and_a_pod_that_is_gone_are_lost() {
    let Some(mut world) = World::new() else { return };
    for is_gone in [false, true] {
        let attempt = TestAttempt::default();
        let live = started(&world, &attempt, &spec(&attempt, Program::Sleeps)).await;
        let pods = world.cluster.all("pods");
        let is_live = |pod: &&Value| pod["status"]["phase"] == "Running";
        let pod = pods.iter().find(is_live).unwrap()["metadata"]["name"].as_str().unwrap();
        // A node that says nothing any more.
        world.node = None;
        if is_gone {
            world.cluster.cut_watches(true);
            world.cluster.remove("pods", pod);
        } else {
            world.cluster.merge("pods", pod, &json!({ "status": { "reason": "NodeLost" } }));
        }
        let exit = exit(live.as_ref()).await;
        let failure = exit.failure.unwrap();
        assert_eq!(failure.code, ErrorCode::PodLost, "{failure:?}");
        world = World::new().unwrap();
    }
}

#[tokio::test]
async fn an_end_is_seen_whatever_happens_to_the_api_server() {
    let Some(mut world) = World::new() else { return };
    let attempt = TestAttempt::default();
    let live = started(&world, &attempt, &shell(&attempt, "sleep 1; exit 7")).await;
    world.cluster.cut_watches(false);
    world.cluster.cut_watches(true);
    world.cluster.go_away();
    let exit = exit(live.as_ref()).await;
    assert_eq!(exit.code, Some(7), "{exit:?}");
    world.cluster.come_back();
    // The Job could not be removed: the next look does it.
    assert_eq!(world.target.kept().len(), 1);
    timeout(LIMIT, world.target.forget(&attempt.run_id, 1)).await.unwrap().unwrap();
    assert_eq!((world.cluster.all("jobs"), world.target.kept()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn many_pods_share_two_watches() {
    let Some(world) = World::new() else { return };
    let attempts: Vec<TestAttempt> = (0..8).map(|_| TestAttempt::default()).collect();
    let mut live = Vec::new();
    for attempt in &attempts {
        live.push(started(&world, attempt, &spec(attempt, Program::Sleeps)).await);
    }
    assert_eq!(world.cluster.watches(), 2);
    for live in live {
        live.stop(Duration::ZERO);
        exit(live.as_ref()).await;
    }
}
