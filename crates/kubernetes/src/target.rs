//! The target `kubernetes`: Pods of a cluster as a [`Target`].

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::target::{
    AgentOutput, LaunchSpec, Live, OrphanedAgent, Target, TargetStartError,
};
use errand_api::agent_file::{KubernetesPlace, TargetKind};
use errand_container::{AttemptClaims, KeptFolder, start_folder};
use errand_model::error_code::ErrorCode;
use errand_model::{Locator, ProcessIdentity, RunId};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::address::AgentApiAddress;
use crate::adopt::PodAdoption;
use crate::cluster::{Cluster, ClusterAddress, refusal, text};
use crate::job::{self, FROZEN, NAME};
use crate::kept;
use crate::links::PodLinks;
use crate::live;
use crate::start::{PodStart, refused};
use crate::watch::Watches;

/// Interval at which the cluster is asked whether a Pod that was deleted is gone.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Time beyond its grace period in which a Pod has to be gone: a node may be slow.
const GONE_LIMIT: Duration = Duration::from_secs(60);

/// Settings of the target `kubernetes`.
#[derive(Clone, Debug)]
pub struct KubernetesSettings {
    /// Place of the cluster.
    pub cluster: ClusterAddress,
    /// Address at which Pods reach this machine: `tcp://HOST[:PORT]`.
    pub agent_api: Option<String>,
    /// Image with errand's programs.
    pub shim_image: Option<String>,
    /// Folder for errand's own files of Pods, which the first Pod makes.
    pub folder: PathBuf,
    /// Path of the registry, by which its Jobs are told from those of others.
    pub registry: PathBuf,
    /// Name of this machine, for the same purpose.
    pub machine: String,
}

/// The target `kubernetes`. Does nothing before an agent needs it.
#[derive(Debug)]
pub struct KubernetesTarget {
    settings: KubernetesSettings,
    /// Mark of the registry, as labels have it.
    registry: String,
    cluster: OnceCell<Cluster>,
    links: OnceCell<PodLinks>,
    watches: Watches,
    claims: AttemptClaims,
}

impl KubernetesTarget {
    /// Returns the target. Nothing is connected or written yet.
    pub fn new(settings: KubernetesSettings) -> Self {
        let registry =
            job::registry_mark(&settings.machine, &settings.registry.display().to_string());
        Self {
            settings,
            registry,
            cluster: OnceCell::new(),
            links: OnceCell::new(),
            watches: Watches::default(),
            claims: AttemptClaims::default(),
        }
    }

    async fn cluster(&self) -> Result<&Cluster, TargetStartError> {
        self.cluster.get_or_try_init(|| Cluster::open(&self.settings.cluster)).await
    }

    async fn links(&self) -> Result<&PodLinks, TargetStartError> {
        let address = self.address()?;
        self.links.get_or_try_init(|| PodLinks::listen(&address)).await
    }

    fn address(&self) -> Result<AgentApiAddress, TargetStartError> {
        let named = self.settings.agent_api.as_deref().ok_or_else(|| {
            unconfigured(
                "how Pods reach it: add --agent-api tcp://ADDRESS, an address of this machine",
            )
        })?;
        AgentApiAddress::parse(named)
    }

    fn shim_image(&self) -> Result<&str, TargetStartError> {
        self.settings.shim_image.as_deref().ok_or_else(|| {
            unconfigured("which image has its programs: add --shim-image IMAGE, with errand in it")
        })
    }

    fn kept_folder(&self, run_id: &RunId, attempt: u32) -> KeptFolder {
        KeptFolder::of(&self.settings.folder, run_id, attempt)
    }

    /// Returns the namespaces in which something of a run may be: those of locators and of kept folders.
    fn namespaces_of(&self, run_id: &RunId, known: &[Locator]) -> Vec<String> {
        let of_locator = |locator: &Locator| {
            (locator.target == NAME)
                .then(|| locator.fields.get("namespace")?.as_str().map(str::to_owned))?
        };
        let mut all: Vec<String> = known.iter().filter_map(of_locator).collect();
        for (of_run, attempt) in self.kept() {
            if of_run == *run_id {
                all.extend(kept::namespaces(&self.kept_folder(run_id, attempt)));
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Returns the Jobs of a run, or of one attempt, in a namespace.
    async fn jobs_of(
        &self,
        cluster: &Cluster,
        namespace: &str,
        (run_id, attempt): (&RunId, Option<u32>),
    ) -> io::Result<Vec<Job>> {
        let jobs: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
        let params = ListParams::default().labels(&job::selector(&self.registry, run_id, attempt));
        let listed = jobs.list(&params).await.map_err(|error| {
            io::Error::other(format!("the Jobs of the run cannot be listed: {}", text(&error)))
        })?;
        Ok(listed.items)
    }

    /// Ends everything of a run, or of one attempt, in its namespaces. Returns the number of Pods that ran.
    async fn end_in(
        &self,
        namespaces: &[String],
        of: (&RunId, Option<u32>),
        grace: Duration,
    ) -> io::Result<usize> {
        let mut ended = 0;
        if namespaces.is_empty() {
            return Ok(ended);
        }
        let cluster = self.cluster().await.map_err(io::Error::other)?;
        for namespace in namespaces {
            for job in self.jobs_of(cluster, namespace, of).await? {
                let Some(name) = job.metadata.name else { continue };
                ended += end_one(cluster, namespace, &name, grace).await?;
            }
        }
        Ok(ended)
    }
}

fn unconfigured(what: &str) -> TargetStartError {
    refused(ErrorCode::ClusterUnconfigured, format!("errand does not know {what}"))
}

/// Ends the Pods of a Job and removes it. Returns the number of Pods that ran.
async fn end_one(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    grace: Duration,
) -> io::Result<usize> {
    // A Pod without a grace period is forgotten by the cluster before it has ended.
    let seconds = u32::try_from(grace.as_secs()).unwrap_or(u32::MAX).max(1);
    let live = live::delete_pods(cluster, namespace, name, seconds).await?;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let by = Instant::now() + grace + GONE_LIMIT;
    for pod in &live {
        let (pod_name, uid) = (pod.metadata.name.clone().unwrap_or_default(), &pod.metadata.uid);
        loop {
            let found = pods.get_opt(&pod_name).await.map_err(|e| io::Error::other(text(&e)))?;
            let Some(found) = found.filter(|found| found.metadata.uid == *uid) else { break };
            let phase = found.status.and_then(|status| status.phase).unwrap_or_default();
            if ["Succeeded", "Failed"].contains(&phase.as_str()) {
                break;
            }
            if Instant::now() >= by {
                let message = format!("the Pod {pod_name} does not end; its node may be lost");
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    live::remove(cluster, namespace, name).await?;
    Ok(live.len())
}

/// Returns a Job like that of an agent, which is never made: the cluster only checks it.
fn trial(place: &KubernetesPlace) -> serde_json::Result<Job> {
    let mut pod = json!({
        "restartPolicy": "Never",
        "containers": [{ "name": "agent", "image": place.image, "command": ["true"] }],
    });
    if let Some(class) = &place.runtime_class {
        pod["runtimeClassName"] = json!(class);
    }
    serde_json::from_value(json!({
        "metadata": { "generateName": "errand-check-" },
        "spec": { "suspend": true, "backoffLimit": 0, "template": { "spec": pod } },
    }))
}

#[async_trait]
impl Target for KubernetesTarget {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sees_this_machine(&self) -> bool {
        false
    }

    async fn check(&self, place: &TargetKind) -> Result<(), TargetStartError> {
        let TargetKind::Kubernetes(place) = place else { return Ok(()) };
        self.address()?;
        self.shim_image()?;
        let cluster = self.cluster().await?;
        let namespace = place.namespace.as_deref().unwrap_or(&cluster.namespace);
        let jobs: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
        let trial = trial(place).map_err(io::Error::from)?;
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let tried = jobs.create(&params, &trial).await;
        tried.map(drop).map_err(|error| refusal("create a Job", namespace, &error))
    }

    async fn start(
        &self,
        spec: &LaunchSpec,
        output: AgentOutput,
    ) -> Result<Box<dyn Live>, TargetStartError> {
        let claim = self.claims.claim(&spec.run_id, spec.attempt)?;
        let shim_image = self.shim_image()?;
        let links = self.links().await?;
        let cluster = self.cluster().await?;
        let (watches, registry) = (&self.watches, self.registry.as_str());
        let kept = &self.kept_folder(&spec.run_id, spec.attempt);
        let start = PodStart { cluster, links, watches, registry, shim_image, kept, spec };
        Ok(Box::new(start.run(output, claim).await?))
    }

    fn outlives_supervisor(&self) -> bool {
        true
    }

    fn can_adopt(&self, agent: &OrphanedAgent) -> bool {
        let kept = self.kept_folder(&agent.run_id, agent.attempt);
        start_folder(agent).is_some_and(|start| kept.has(start))
    }

    async fn adopt(
        &self,
        agent: &OrphanedAgent,
        output: AgentOutput,
    ) -> Result<Box<dyn Live>, TargetStartError> {
        let claim = self.claims.claim(&agent.run_id, agent.attempt)?;
        let links = self.links().await?;
        let cluster = self.cluster().await?;
        let (watches, registry) = (&self.watches, self.registry.as_str());
        let kept = &self.kept_folder(&agent.run_id, agent.attempt);
        let adoption = PodAdoption { cluster, links, watches, registry, kept, agent };
        Ok(Box::new(adoption.run(output, claim).await?))
    }

    fn kept(&self) -> Vec<(RunId, u32)> {
        KeptFolder::list(&self.settings.folder)
    }

    async fn forget(&self, run_id: &RunId, attempt: u32) -> io::Result<()> {
        let kept = self.kept_folder(run_id, attempt);
        let namespaces = kept::namespaces(&kept);
        self.end_in(&namespaces, (run_id, Some(attempt)), Duration::ZERO).await?;
        kept.remove()
    }

    async fn end(&self, run_id: &RunId, known: &[Locator], grace: Duration) -> io::Result<usize> {
        let namespaces = self.namespaces_of(run_id, known);
        let ended = self.end_in(&namespaces, (run_id, None), grace).await?;
        for (of_run, attempt) in self.kept() {
            if of_run == *run_id {
                // What stays is removed by the next look.
                drop(self.kept_folder(run_id, attempt).remove());
            }
        }
        Ok(ended)
    }

    async fn is_frozen(&self, run_id: &RunId, _: &ProcessIdentity) -> io::Result<bool> {
        let namespaces = self.namespaces_of(run_id, &[]);
        if namespaces.is_empty() {
            return Ok(true);
        }
        let cluster = self.cluster().await.map_err(io::Error::other)?;
        for namespace in namespaces {
            let jobs = self.jobs_of(cluster, &namespace, (run_id, None)).await?;
            let is_frozen = |job: &Job| {
                let annotations = job.metadata.annotations.as_ref();
                let active = job.status.as_ref().and_then(|status| status.active);
                annotations.is_some_and(|all| all.contains_key(FROZEN)) || active == Some(0)
            };
            if !jobs.iter().all(is_frozen) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
