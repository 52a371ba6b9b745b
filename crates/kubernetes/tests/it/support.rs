//! Targets on a cluster of the tests.

use std::path::Path;
use std::sync::Arc;

use errand_agent::target::{LaunchSpec, Target};
use errand_api::agent_file::{KubernetesPlace, TargetKind};
use errand_kubernetes::{ClusterAddress, KubernetesSettings, KubernetesTarget, copy_programs};
use errand_testkit::cluster::{ClusterNode, PodPrograms, ScriptedCluster, can_have_node};
use errand_testkit::conformance::{Program, TestAttempt};
use tempfile::TempDir;

/// Target on a cluster of the tests, with a registry folder of its own.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) target: Arc<dyn Target>,
    pub(crate) node: Option<ClusterNode>,
    pub(crate) cluster: ScriptedCluster,
    pub(crate) folder: TempDir,
}

impl World {
    /// Returns a target on a cluster with a node; `None` on a machine that cannot have one.
    pub(crate) fn new() -> Option<Self> {
        if !can_have_node() {
            return None;
        }
        let mut world = Self::without_node();
        world.node =
            Some(ClusterNode::start(&world.cluster.kubeconfig(), PodPrograms::Filled(programs)));
        Some(world)
    }

    /// Returns a target on a cluster whose Pods stay as they are.
    pub(crate) fn without_node() -> Self {
        let cluster = ScriptedCluster::new();
        let folder = tempfile::tempdir().unwrap();
        let target = Arc::new(target(&cluster, folder.path()));
        Self { target, node: None, cluster, folder }
    }

    /// Returns the target of another process with the same registry.
    pub(crate) fn another_target(&self) -> Arc<dyn Target> {
        Arc::new(target(&self.cluster, self.folder.path()))
    }
}

/// Returns the settings of a target.
pub(crate) fn settings(cluster: &ScriptedCluster, folder: &Path) -> KubernetesSettings {
    KubernetesSettings {
        cluster: ClusterAddress { kubeconfig: vec![cluster.kubeconfig()], context: None },
        agent_api: Some("tcp://127.0.0.1".to_owned()),
        shim_image: Some("errand:1".to_owned()),
        folder: folder.join("pods"),
        registry: folder.to_owned(),
        machine: "here".to_owned(),
    }
}

fn target(cluster: &ScriptedCluster, folder: &Path) -> KubernetesTarget {
    KubernetesTarget::new(settings(cluster, folder))
}

fn programs(folder: &Path) {
    copy_programs(folder, &std::env::current_exe().unwrap()).unwrap();
}

/// Returns the place of the tests' agents.
pub(crate) fn place() -> KubernetesPlace {
    KubernetesPlace { image: "agent:1".to_owned(), ..KubernetesPlace::default() }
}

/// Returns the order to start a program in a Pod.
pub(crate) fn spec(attempt: &TestAttempt, program: Program) -> LaunchSpec {
    LaunchSpec { place: TargetKind::Kubernetes(place()), ..attempt.spec(program) }
}
