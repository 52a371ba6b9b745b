//! The target on a real API server (`cargo xtask test --kubernetes`), with a node of the tests.

use std::path::Path;
use std::time::{Duration, Instant};

use errand_agent::log::marker;
use errand_agent::target::{AgentOutput, Exit, Live, OrphanedAgent, Target};
use errand_api::agent_file::{KubernetesPlace, TargetKind};
use errand_kubernetes::{
    ClusterAddress, KubernetesSettings, KubernetesTarget, copy_programs, missing_rights,
};
use errand_testkit::cluster::{ClusterNode, PodPrograms, RealCluster, can_have_node};
use errand_testkit::conformance::{Program, TestAttempt};
use tokio::time::timeout;

use crate::support::spec;

/// Time limit of one step: the controllers look every few seconds.
const LIMIT: Duration = Duration::from_secs(90);

fn programs(folder: &Path) {
    copy_programs(folder, &std::env::current_exe().unwrap()).unwrap();
}

fn target(cluster: &RealCluster, folder: &Path) -> KubernetesTarget {
    KubernetesTarget::new(KubernetesSettings {
        cluster: ClusterAddress { kubeconfig: vec![cluster.kubeconfig()], context: None },
        agent_api: Some("tcp://127.0.0.1".to_owned()),
        shim_image: Some("errand:1".to_owned()),
        folder: folder.join("pods"),
        registry: folder.to_owned(),
        machine: "here".to_owned(),
    })
}

fn logged(attempt: &TestAttempt) -> AgentOutput {
    let output = attempt.output();
    output.log.system(&marker::began(1, "initial"));
    output
}

async fn started(target: &dyn Target, attempt: &TestAttempt, script: &str) -> Box<dyn Live> {
    let mut spec = spec(attempt, Program::Prints);
    spec.argv = ["/bin/sh", "-c", script].map(Into::into).to_vec();
    timeout(LIMIT, target.start(&spec, logged(attempt))).await.unwrap().unwrap()
}

async fn exit(live: &dyn Live) -> Exit {
    timeout(LIMIT, live.wait()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_real_api_server_takes_the_jobs_of_errand() {
    let Some(mut cluster) = RealCluster::start().filter(|_| can_have_node()) else { return };
    let _node = ClusterNode::start(&cluster.kubeconfig(), PodPrograms::Filled(programs));
    let folder = tempfile::tempdir().unwrap();
    let first = target(&cluster, folder.path());
    let address = ClusterAddress { kubeconfig: vec![cluster.kubeconfig()], context: None };
    assert_eq!(missing_rights(&address, None).await.unwrap().1, []);
    let place = KubernetesPlace { image: "agent:1".to_owned(), ..KubernetesPlace::default() };
    timeout(LIMIT, first.check(&TargetKind::Kubernetes(place))).await.unwrap().unwrap();

    let attempt = TestAttempt::default();
    let begun = Instant::now();
    let live = started(&first, &attempt, "echo out; exit 3").await;
    let ended = exit(live.as_ref()).await;
    assert_eq!((ended.code, ended.stdout.in_memory()), (Some(3), b"out\n".as_slice()));
    live.settled().await;
    println!("a run of `exit 3`: {:?}", begun.elapsed());

    let attempt = TestAttempt::default();
    let live = started(&first, &attempt, "trap '' TERM; sleep 1000").await;
    live.stop(Duration::ZERO);
    assert_eq!(exit(live.as_ref()).await.signal, Some(9));

    let attempt = TestAttempt::default();
    let script = "n=0; while [ $n -lt 200 ]; do n=$((n+1)); echo $n; sleep 0.05; done; exit 5";
    let live = started(&first, &attempt, script).await;
    let agent = OrphanedAgent {
        run_id: attempt.run_id.clone(),
        attempt: 1,
        locator: live.locator(),
        has_memory_limit: false,
    };
    cluster.restart();
    drop(live);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = target(&cluster, folder.path());
    let live = timeout(LIMIT, second.adopt(&agent, attempt.output())).await.unwrap().unwrap();
    let ended = exit(live.as_ref()).await;
    let expect: String = (1..=200).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8_lossy(ended.stdout.in_memory()), expect);
    assert_eq!(ended.code, Some(5));

    let attempt = TestAttempt::default();
    let live = started(&first, &attempt, "sleep 1000").await;
    let known = [live.locator()];
    let end = first.end(&attempt.run_id, &known, Duration::ZERO);
    assert_eq!(timeout(LIMIT, end).await.unwrap().unwrap(), 1);
}
