//! State of a Pod and of its Job, as far as errand needs it.

use errand_model::error_code::ErrorCode;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;

use crate::job::CONTAINER;

/// Reasons for which an image cannot come, whatever happens.
const NO_IMAGE: [&str; 2] = ["InvalidImageName", "ErrImageNeverPull"];
/// Reasons for which an image has not come yet.
const NO_IMAGE_YET: [&str; 2] = ["ErrImagePull", "ImagePullBackOff"];
/// Reasons that mean nothing: the usual course of a start.
const USUAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// Condition of a Pod that the cluster ends before its time.
const DISRUPTED: &str = "DisruptionTarget";
/// Reason of a Pod whose node does not answer any more.
const NODE_LOST: &str = "NodeLost";
/// Seconds after the time by which a deleted Pod should be gone: its node is lost then.
const OVERDUE_SECONDS: i64 = 60;

/// A Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodView {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) node: Option<String>,
    pub(crate) state: PodState,
    /// Reason for which the cluster ends the Pod, if it does.
    pub(crate) disruption: Option<String>,
}

/// State of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PodState {
    /// The agent's container has not started; with the reason, if it is not the usual one.
    Pending(Option<PodWait>),
    /// The agent's container runs.
    Running,
    /// The agent's container has ended.
    Ended {
        /// Exit code of its first process.
        code: i32,
        /// True if the kernel killed it for want of memory.
        is_out_of_memory: bool,
    },
    /// The Pod ended without its container, was deleted, or its node is lost.
    Lost(String),
}

/// Reason why a Pod waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodWait {
    /// Word of the cluster, such as `Unschedulable`.
    pub(crate) reason: String,
    /// Text of the cluster.
    pub(crate) message: String,
    /// Kind of the reason.
    pub(crate) kind: WaitKind,
}

/// Kind of a reason to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitKind {
    /// Reason that may pass.
    Passing,
    /// The image does not come; it may later.
    Image,
    /// Reason that does not pass: the start fails with this code.
    Final(ErrorCode),
}

impl PodWait {
    /// Returns the reason as a line for people.
    pub(crate) fn line(&self) -> String {
        if self.message.is_empty() {
            return self.reason.clone();
        }
        format!("{}: {}", self.reason, self.message)
    }
}

/// Returns the view of a Pod; `None` if it has no name.
pub(crate) fn view(pod: &Pod) -> Option<PodView> {
    let spec = pod.spec.as_ref();
    Some(PodView {
        name: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone()?,
        node: spec.and_then(|spec| spec.node_name.clone()),
        state: state(pod),
        disruption: disruption(pod),
    })
}

fn disruption(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let mut disrupted = conditions.filter(|it| it.type_ == DISRUPTED && it.status == "True");
    if let Some(condition) = disrupted.next() {
        let reason = condition.reason.as_deref().unwrap_or(DISRUPTED);
        return Some(join(reason, condition.message.as_deref().unwrap_or_default()));
    }
    if let Some(reason) = status.and_then(|status| status.reason.as_deref()) {
        let message = status.and_then(|status| status.message.as_deref());
        return Some(join(reason, message.unwrap_or_default()));
    }
    pod.metadata.deletion_timestamp.as_ref().map(|_| "it was deleted".to_owned())
}

fn state(pod: &Pod) -> PodState {
    let status = pod.status.clone().unwrap_or_default();
    let of_agent = status.container_statuses.iter().flatten().find(|it| it.name == CONTAINER);
    let terminated = of_agent.and_then(|it| it.state.as_ref()?.terminated.as_ref());
    if let Some(ended) = terminated {
        let is_out_of_memory = ended.reason.as_deref() == Some("OOMKilled");
        return PodState::Ended { code: ended.exit_code, is_out_of_memory };
    }
    let reason = status.reason.clone().unwrap_or_default();
    let message = status.message.clone().unwrap_or_default();
    let lost = |reason: &str| PodState::Lost(join(reason, &message));
    if reason == NODE_LOST || is_overdue(pod) {
        return lost(NODE_LOST);
    }
    match status.phase.as_deref() {
        Some("Failed") => lost(if reason.is_empty() { failed_start(&status) } else { &reason }),
        Some("Succeeded") => PodState::Ended { code: 0, is_out_of_memory: false },
        Some("Running") if of_agent.is_some_and(is_running) => PodState::Running,
        Some(_) | None => PodState::Pending(wait(pod)),
    }
}

/// Returns the reason of a Pod that failed before its container: that of the container which brings the
/// programs.
fn failed_start(status: &PodStatus) -> &'static str {
    let failed = status.init_container_statuses.iter().flatten().any(|it| {
        it.state
            .as_ref()
            .is_some_and(|it| it.terminated.as_ref().is_some_and(|it| it.exit_code != 0))
    });
    if failed { "the container of --shim-image failed" } else { "the Pod failed" }
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Returns true if a deleted Pod should have been gone for a while.
fn is_overdue(pod: &Pod) -> bool {
    let by = pod.metadata.deletion_timestamp.as_ref();
    by.is_some_and(|by| Timestamp::now().as_second() > by.0.as_second() + OVERDUE_SECONDS)
}

fn wait(pod: &Pod) -> Option<PodWait> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
    for container in containers.flatten() {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.clone()).unwrap_or_default();
        if reason.is_empty() || USUAL.contains(&reason.as_str()) {
            continue;
        }
        let message = waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default();
        let kind = if NO_IMAGE.contains(&reason.as_str()) {
            WaitKind::Final(ErrorCode::ImageNotFound)
        } else if NO_IMAGE_YET.contains(&reason.as_str()) {
            WaitKind::Image
        } else {
            WaitKind::Passing
        };
        let message = format!("{} ({})", message, container.image).trim().to_owned();
        return Some(PodWait { reason, message, kind });
    }
    let conditions = status.conditions.iter().flatten();
    let mut unscheduled =
        conditions.filter(|it| it.type_ == "PodScheduled" && it.status == "False");
    let condition = unscheduled.next()?;
    let reason = condition.reason.clone().unwrap_or_default();
    let message = condition.message.clone().unwrap_or_default();
    Some(PodWait { reason, message, kind: WaitKind::Passing })
}

/// Returns the reason of a Job that has failed; `None` if it has not.
pub(crate) fn job_failure(job: &Job) -> Option<String> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let failed = conditions.iter().find(|it| it.type_ == "Failed" && it.status == "True")?;
    let reason = failed.reason.as_deref().unwrap_or("Failed");
    Some(join(reason, failed.message.as_deref().unwrap_or_default()))
}

fn join(reason: &str, message: &str) -> String {
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}
