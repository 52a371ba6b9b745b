//! A Pod in which an agent lives.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::target::{Conversation, Exit, Live, MemoryExceeded, PlaceFailure};
use errand_container::{
    AttemptClaim, ContainerEnd, ContainerReported, KILL, KeptFolder, SHIM_LIMIT, StopPlan,
    StopStep, TERM, code_or_signal, sleep_until,
};
use errand_model::Locator;
use errand_model::error_code::ErrorCode;
use errand_model::event::MemoryEnforcement;
use errand_shim::Order;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PropagationPolicy};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::{Cluster, status, text};
use crate::job::FROZEN;
use crate::link::PodLink;
use crate::pod::PodState;
use crate::watch::{JobPresence, JobSubscription};

/// Time after the first SIGKILL in which a Pod may still live: a node may be slow.
const KILL_LIMIT: Duration = Duration::from_secs(90);
/// Time after the end of a Pod in which its last reports may arrive.
const LAST_REPORTS: Duration = Duration::from_secs(2);
/// Time limit for a Pod to be frozen.
const FREEZE_LIMIT: Duration = Duration::from_secs(5);
/// Parts of a Pod that was started.
#[derive(Debug)]
pub(crate) struct StartedPod {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
    /// Name of the Job.
    pub(crate) name: String,
    pub(crate) locator: Locator,
    pub(crate) kept: KeptFolder,
    pub(crate) link: Arc<PodLink>,
    pub(crate) view: JobSubscription,
    pub(crate) pump: JoinSet<ContainerReported>,
    pub(crate) has_memory_limit: bool,
    pub(crate) is_frozen: bool,
    pub(crate) claim: AttemptClaim,
}

/// A Pod in which an agent lives. Dropping it leaves the Pod alone: the next holder of the run's lease
/// finds it.
#[derive(Debug)]
pub(crate) struct LivePod {
    cluster: Cluster,
    namespace: String,
    name: String,
    locator: Locator,
    kept: KeptFolder,
    link: Arc<PodLink>,
    sources: tokio::sync::Mutex<Sources>,
    has_memory_limit: bool,
    started_at: Instant,
    state: Mutex<State>,
    /// Wakes the waiting task when the time of SIGKILL has changed.
    kill_planned: Notify,
    /// True while the agent is frozen; held while that changes.
    is_frozen: tokio::sync::Mutex<bool>,
    _claim: AttemptClaim,
}

/// Sources of the end of a Pod.
#[derive(Debug)]
struct Sources {
    pump: JoinSet<ContainerReported>,
    view: JobSubscription,
    /// Time at which the Pod was found to be over.
    over_since: Option<Instant>,
}

/// Progress of a Pod towards its end.
#[derive(Debug, Default)]
struct State {
    plan: StopPlan,
    reported: Option<ContainerReported>,
    exit: Option<Exit>,
}

impl LivePod {
    pub(crate) fn new(started: StartedPod) -> Self {
        let StartedPod { cluster, namespace, name, locator, kept, .. } = started;
        let sources = Sources { pump: started.pump, view: started.view, over_since: None };
        Self {
            cluster,
            namespace,
            name,
            locator,
            kept,
            link: started.link,
            sources: tokio::sync::Mutex::new(sources),
            has_memory_limit: started.has_memory_limit,
            started_at: Instant::now(),
            state: Mutex::default(),
            kill_planned: Notify::new(),
            is_frozen: tokio::sync::Mutex::new(started.is_frozen),
            _claim: started.claim,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a signal to all processes of the agent.
    fn signal(&self, signal: i32) {
        self.link.send(Order::Signal(signal));
    }

    /// Waits until the Pod has ended, and performs a planned stop meanwhile.
    async fn until_reported(&self) -> io::Result<()> {
        let mut sources = self.sources.lock().await;
        loop {
            if self.state().reported.is_some() {
                return Ok(());
            }
            let step = self.state().plan.next(Instant::now(), KILL_LIMIT);
            let wait_until = match step {
                StopStep::Wait => None,
                StopStep::Until(at) => Some(at),
                StopStep::Ask => {
                    self.signal(TERM);
                    continue;
                }
                StopStep::Kill => {
                    self.signal(KILL);
                    continue;
                }
                StopStep::KillFromOutside => {
                    self.kill_by_cluster().await;
                    Some(Instant::now() + SHIM_LIMIT)
                }
                StopStep::Outlived => {
                    let message = format!(
                        "the Pod of the Job {} does not end; its node may be lost",
                        self.name
                    );
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
            };
            let wait_until = [wait_until, self.look(&mut sources)].into_iter().flatten().min();
            let Sources { pump, view, .. } = &mut *sources;
            tokio::select! {
                biased;
                reported = pump.join_next() => {
                    let reported = match reported {
                        Some(Ok(reported)) => reported,
                        Some(Err(error)) => return Err(io::Error::other(error)),
                        None => return Err(io::Error::other("the Pod has no output")),
                    };
                    self.state().reported = Some(reported);
                }
                () = view.changed() => {}
                () = self.kill_planned.notified() => {}
                () = sleep_until(wait_until) => {}
            }
        }
    }

    /// Looks whether the Pod is over; its reports then end soon. Returns the time of the next look.
    fn look(&self, sources: &mut Sources) -> Option<Instant> {
        let view = sources.view.now();
        let uid = self.link.pod_uid().unwrap_or_default();
        let is_over = match view.pods.get(&uid) {
            Some(pod) => match pod.state {
                PodState::Pending(_) | PodState::Running => view.gone.contains(&uid),
                PodState::Ended { .. } | PodState::Lost(_) => true,
            },
            // An adopted Pod that was gone before.
            None => view.job == JobPresence::Deleted || view.is_listed_without_pod,
        };
        if !is_over {
            return None;
        }
        let since = *sources.over_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= LAST_REPORTS || !self.link.is_connected() {
            self.link.end();
            return None;
        }
        Some(since + LAST_REPORTS)
    }

    /// Has the cluster kill the Pod. The Pod is gone once its node says so, which is why it gets a second.
    async fn kill_by_cluster(&self) {
        // An error means that it does not run, or that it is tried again.
        drop(delete_pods(&self.cluster, &self.namespace, &self.name, 1).await);
    }

    async fn exit(&self) -> Exit {
        let view = self.sources.lock().await.view.now();
        let uid = self.link.pod_uid().unwrap_or_default();
        let pod = view.pods.get(&uid);
        let state = self.state();
        let reported = state.reported.as_ref().and_then(ContainerReported::ended);
        let ended = reported.unwrap_or_else(|| end_without_report(pod.map(|pod| &pod.state)));
        let is_own = ended.code == Some(0) || state.plan.is_planned() || ended.oom_kills > 0;
        let lost = pod.and_then(|pod| match (&pod.state, &pod.disruption) {
            (PodState::Lost(reason), _) => Some(reason.clone()),
            (_, Some(reason)) => Some(reason.clone()),
            (_, None) if reported.is_none() && view.gone.contains(&uid) => {
                Some("it was deleted".to_owned())
            }
            (_, None) => None,
        });
        let lost =
            lost.or_else(|| (reported.is_none() && pod.is_none()).then(|| "it is gone".to_owned()));
        let failure = lost.filter(|_| !is_own).map(|reason| PlaceFailure {
            code: ErrorCode::PodLost,
            message: format!("the Pod of the agent is lost: {reason}"),
        });
        Exit { failure, ..ContainerReported::exit(state.reported.as_ref(), ended, self.started_at) }
    }

    /// Notes at the Job whether its agent is frozen, for other processes.
    async fn annotate(&self, is_frozen: bool) -> io::Result<()> {
        let jobs: Api<Job> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let value = if is_frozen { json!("true") } else { json!(null) };
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { FROZEN: value } } }));
        let patched = jobs.patch(&self.name, &PatchParams::default(), &patch).await;
        patched.map(drop).map_err(|error| io::Error::other(text(&error)))
    }
}

impl Drop for LivePod {
    fn drop(&mut self) {
        self.link.close();
    }
}

/// Returns the end of a Pod that reported none.
fn end_without_report(state: Option<&PodState>) -> ContainerEnd {
    match state {
        Some(PodState::Ended { code, is_out_of_memory }) => {
            let (code, signal) = code_or_signal(*code);
            ContainerEnd { code, signal, oom_kills: u64::from(*is_out_of_memory) }
        }
        Some(PodState::Pending(_) | PodState::Running | PodState::Lost(_)) | None => {
            ContainerEnd { code: None, signal: Some(KILL), oom_kills: 0 }
        }
    }
}

/// Deletes the Pods of a Job, with so many seconds to end. Returns those that had not ended.
pub(crate) async fn delete_pods(
    cluster: &Cluster,
    namespace: &str,
    job: &str,
    grace_seconds: u32,
) -> io::Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let of_job = kube::api::ListParams::default().labels(&format!("job-name={job}"));
    let failed = |error: kube::Error| {
        io::Error::other(format!("the Pods of the Job {job} cannot be deleted: {}", text(&error)))
    };
    let mut live = Vec::new();
    for pod in pods.list(&of_job).await.map_err(failed)?.items {
        let Some(name) = pod.metadata.name.clone() else { continue };
        let params =
            DeleteParams { grace_period_seconds: Some(grace_seconds), ..DeleteParams::default() };
        match pods.delete(&name, &params).await {
            Err(error) if status(&error) != Some(404) => return Err(failed(error)),
            Ok(_) | Err(_) => {}
        }
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if !matches!(phase, Some("Succeeded" | "Failed")) {
            live.push(pod);
        }
    }
    Ok(live)
}

/// Removes Job and Secret of an attempt; the Pods of the Job go with it.
pub(crate) async fn remove(cluster: &Cluster, namespace: &str, name: &str) -> io::Result<()> {
    let jobs: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    let plain = DeleteParams::default();
    let (job, secret) = tokio::join!(jobs.delete(name, &params), secrets.delete(name, &plain));
    for error in [job.err(), secret.err()].into_iter().flatten() {
        if status(&error) != Some(404) {
            let message = format!("the Job {name} cannot be removed: {}", text(&error));
            return Err(io::Error::other(message));
        }
    }
    Ok(())
}

#[async_trait]
impl Live for LivePod {
    fn locator(&self) -> Locator {
        self.locator.clone()
    }

    fn take_conversation(&self) -> Option<Conversation> {
        None
    }

    async fn wait(&self) -> io::Result<Exit> {
        self.until_reported().await?;
        if let Some(exit) = &self.state().exit {
            return Ok(exit.clone());
        }
        let exit = self.exit().await;
        // What stays is removed by the next process that looks for what is left of attempts.
        drop(remove(&self.cluster, &self.namespace, &self.name).await);
        self.state().exit = Some(exit.clone());
        Ok(exit)
    }

    fn stop(&self, grace: Duration) {
        self.state().plan.stop(grace);
        self.kill_planned.notify_one();
    }

    async fn freeze(&self) -> io::Result<()> {
        let mut is_frozen = self.is_frozen.lock().await;
        if *is_frozen {
            return Ok(());
        }
        let mut frozen = self.link.frozen();
        if !self.link.send(Order::Freeze) {
            return Err(io::Error::other("the Pod is not connected"));
        }
        let answered = async move { frozen.wait_for(|it| *it).await.is_ok() };
        if !matches!(tokio::time::timeout(FREEZE_LIMIT, answered).await, Ok(true)) {
            return Err(io::Error::other("the Pod does not answer"));
        }
        *is_frozen = true;
        self.annotate(true).await
    }

    async fn thaw(&self) {
        let mut is_frozen = self.is_frozen.lock().await;
        if *is_frozen {
            self.link.thawed();
            self.link.send(Order::Thaw);
            // Without it, a later freeze corrects the note.
            drop(self.annotate(false).await);
            *is_frozen = false;
        }
    }

    async fn settled(&self) {
        // What stays is removed by the next process that looks for what is left of attempts.
        drop(self.kept.remove());
    }

    fn memory_enforcement(&self) -> Option<MemoryEnforcement> {
        self.has_memory_limit.then_some(MemoryEnforcement::Cgroup)
    }

    async fn memory_exceeded(&self) -> MemoryExceeded {
        // The kernel kills in the Pod, and its exit says so.
        std::future::pending().await
    }
}
