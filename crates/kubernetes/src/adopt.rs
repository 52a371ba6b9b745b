//! Adoption of a Pod whose supervisor is gone.

use std::io;
use std::sync::Arc;

use errand_agent::target::{AgentOutput, OrphanedAgent, TargetStartError};
use errand_container::{AttemptClaim, KeptFolder, ReportPump, released_progress, start_folder};
use errand_shim::file;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, refusal, status};
use crate::job::{self, FROZEN};
use crate::kept::KeptPlace;
use crate::link::{PodLink, PodReports};
use crate::links::PodLinks;
use crate::live::{LivePod, StartedPod};
use crate::returned::ReturnedTrees;
use crate::watch::Watches;

/// Adoption of the Pod of one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodAdoption<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) links: &'a PodLinks,
    pub(crate) watches: &'a Watches,
    pub(crate) registry: &'a str,
    pub(crate) kept: &'a KeptFolder,
    pub(crate) agent: &'a OrphanedAgent,
}

impl PodAdoption<'_> {
    /// Takes a Pod over. It is told the address of this process, and connects to it.
    ///
    /// # Errors
    ///
    /// As [`Target::adopt`](errand_agent::target::Target::adopt).
    pub(crate) async fn run(
        self,
        output: AgentOutput,
        claim: AttemptClaim,
    ) -> Result<LivePod, TargetStartError> {
        let Self { cluster, agent, .. } = self;
        let uid = agent.locator.fields.get("pod_uid").and_then(|uid| uid.as_str());
        let (Some(uid), Some(start)) = (uid, start_folder(agent)) else {
            return Err(io::Error::other("the record of the Pod is not whole").into());
        };
        let place = KeptPlace::read(start)?;
        let namespace = place.namespace.clone();
        let name = job::name(&agent.run_id, agent.attempt);
        let of_watch = (&cluster.client, namespace.as_str(), self.registry);
        let view = self.watches.subscribe(of_watch, name.clone());
        let is_frozen = self.announced(&namespace, &name).await?;
        let progress = released_progress(agent, start).await?;
        let link = Arc::new(PodLink::new(place.link_key()?, place.api, None, Some(uid.to_owned())));
        self.links.admit(&name, &link);
        let returned = ReturnedTrees::new(place.returns, start, &output.log);
        let reports = PodReports { link: Arc::clone(&link), returned };
        let mut pump = JoinSet::new();
        pump.spawn(ReportPump::continuing(reports, progress, agent.attempt, &output)?.run());
        Ok(LivePod::new(StartedPod {
            cluster: cluster.clone(),
            namespace,
            name,
            locator: agent.locator.clone(),
            kept: self.kept.clone(),
            link,
            view,
            pump,
            has_memory_limit: agent.has_memory_limit,
            is_frozen,
            claim,
        }))
    }

    /// Tells the Pod where it reaches this process. Returns true if its agent is frozen.
    async fn announced(&self, namespace: &str, name: &str) -> Result<bool, TargetStartError> {
        let client = &self.cluster.client;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let address = self.links.address.to_string();
        let patch = Patch::Merge(json!({ "stringData": { file::ADDRESS: address } }));
        let refused = |error: kube::Error| match status(&error) {
            // It is gone, which the watch will find.
            Some(404) => None,
            Some(_) | None => Some(refusal("hand the Pod over", namespace, &error)),
        };
        if let Err(error) = secrets.patch(name, &PatchParams::default(), &patch).await
            && let Some(error) = refused(error)
        {
            return Err(error);
        }
        let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
        let found = match jobs.get_opt(name).await {
            Ok(found) => found,
            Err(error) => return refused(error).map_or(Ok(false), Err),
        };
        let annotations = found.and_then(|job| job.metadata.annotations);
        Ok(annotations.is_some_and(|all| all.contains_key(FROZEN)))
    }
}
