//! Start of a Pod: from the order to a command that runs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use errand_agent::target::{AgentOutput, LaunchSpec, StartWaits, Streams, TargetStartError};
use errand_api::agent_file::TargetKind;
use errand_container::{
    AttemptClaim, ContainerReported, KeptFolder, ProgressWriter, ReportPump, START_FOLDER, Started,
};
use errand_model::Locator;
use errand_model::error_code::ErrorCode;
use errand_model::hex;
use errand_shim::StartProblem;
use errand_shim::link::KEY_BYTES;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::{Cluster, refusal, status};
use crate::job::{self, JobOrder, NAME};
use crate::kept::KeptPlace;
use crate::launch::{LaunchFrames, api_socket};
use crate::link::{PodLink, PodReports};
use crate::links::PodLinks;
use crate::live::{self, LivePod, StartedPod};
use crate::pod::{PodState, PodWait, WaitKind};
use crate::returned::ReturnedTrees;
use crate::watch::{JobPresence, JobSubscription, JobView, Watches};

/// Status of an answer that a name is taken.
const CONFLICT: u16 = 409;
/// Time for which an image may fail to come: a registry may be busy.
const IMAGE_LIMIT: Duration = Duration::from_secs(60);
/// Time after which the cluster is asked why a Job has no Pod; and between two such questions.
const NO_POD_AFTER: Duration = Duration::from_secs(2);

/// Start of the Pod of one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodStart<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) links: &'a PodLinks,
    pub(crate) watches: &'a Watches,
    pub(crate) registry: &'a str,
    pub(crate) shim_image: &'a str,
    /// Folder of what is kept of the attempt.
    pub(crate) kept: &'a KeptFolder,
    pub(crate) spec: &'a LaunchSpec,
}

/// A Job that was made, and what reads its Pod's reports.
struct Made<'a> {
    namespace: &'a str,
    start: &'a Path,
    link: Arc<PodLink>,
    view: JobSubscription,
    pump: JoinSet<ContainerReported>,
    started: oneshot::Receiver<Started>,
}

impl PodStart<'_> {
    /// Starts the Pod; returns once its command runs. If that fails, nothing is left, but for what
    /// [`Target::forget`](errand_agent::target::Target::forget) removes.
    ///
    /// # Errors
    ///
    /// As [`Target::start`](errand_agent::target::Target::start).
    pub(crate) async fn run(
        self,
        output: AgentOutput,
        claim: AttemptClaim,
    ) -> Result<LivePod, TargetStartError> {
        let TargetKind::Kubernetes(place) = &self.spec.place else {
            return Err(io::Error::other("the agent file names another target").into());
        };
        if matches!(self.spec.streams, Streams::Conversation) {
            let message = "a harness that talks to its agent over stdin and stdout cannot be used \
                           in a Pod";
            return Err(refused(ErrorCode::ClusterRefused, message.to_owned()));
        }
        let launch = LaunchFrames::of(self.spec)?;
        let (cluster, registry) = (self.cluster, self.registry);
        let namespace = place.namespace.as_deref().unwrap_or(&cluster.namespace);
        let order = JobOrder { spec: self.spec, place, registry, shim_image: self.shim_image };
        let start = self.kept.make_start()?;
        let key = new_key()?;
        let returns = launch.returns.iter().map(PathBuf::from).collect::<Vec<_>>();
        let api = api_socket(self.spec).unwrap_or_default();
        let (of_kept, api_path) = (returns.clone(), api.clone());
        let kept_place =
            KeptPlace { namespace: namespace.to_owned(), key, returns: of_kept, api: api_path };
        kept_place.write(&start)?;
        let link = PodLink::new(kept_place.link_key()?, api, Some(launch), None);
        let link = Arc::new(link);
        self.links.admit(&order.name(), &link);
        let of_watch = (&cluster.client, namespace, registry);
        let view = self.watches.subscribe(of_watch, order.name());
        let (tell, started) = oneshot::channel();
        let mut pump = JoinSet::new();
        let progress = ProgressWriter::open(&start)?;
        let returned = ReturnedTrees::new(returns, &start, &output.log);
        let reports = PodReports { link: Arc::clone(&link), returned };
        let (log, waits) = (Arc::clone(&output.log), output.waits.clone());
        pump.spawn(ReportPump::new(reports, progress, tell, output).run());
        if let Err(error) = self.create(order, namespace, &kept_place.key).await {
            self.kept.remove_start(&start);
            return Err(error);
        }
        let mut made = Made { namespace, start: &start, link, view, pump, started };
        if let Err(error) = self.until_started(&mut made, &order.name(), (&log, &waits)).await {
            let name = order.name();
            // What stays is removed by the next process that looks for what is left.
            if live::remove(cluster, namespace, &name).await.is_ok() {
                self.kept.remove_start(&start);
            }
            return Err(error);
        }
        let locator = locator(&mut made, &order);
        let Made { namespace, link, view, pump, .. } = made;
        Ok(LivePod::new(StartedPod {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            name: order.name(),
            locator,
            kept: self.kept.clone(),
            link,
            view,
            pump,
            has_memory_limit: self.spec.memory_limit_bytes.is_some(),
            is_frozen: false,
            claim,
        }))
    }

    /// Creates the Job suspended, then its Secret, and then lets the Job go.
    async fn create(
        &self,
        order: JobOrder<'_>,
        namespace: &str,
        key: &str,
    ) -> Result<(), TargetStartError> {
        let client = &self.cluster.client;
        let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let wanted = order.job().map_err(io::Error::from)?;
        let params = PostParams::default();
        let made = match jobs.create(&params, &wanted).await {
            Ok(made) => made,
            Err(error) if status(&error) == Some(CONFLICT) => {
                self.check_taken(&jobs, &order, namespace).await?;
                jobs.create(&params, &wanted)
                    .await
                    .map_err(|error| refusal("create the Job", namespace, &error))?
            }
            Err(error) => return Err(refusal("create the Job", namespace, &error)),
        };
        let secret = order.secret(&made, (self.links.address, key)).map_err(io::Error::from)?;
        let created = secrets.create(&params, &secret).await;
        let released = match created {
            Ok(_) => {
                let released = Patch::Merge(json!({ "spec": { "suspend": false } }));
                let patched = jobs.patch(&order.name(), &PatchParams::default(), &released).await;
                patched.map_err(|error| refusal("start the Job", namespace, &error))
            }
            Err(error) => Err(refusal("create the Secret", namespace, &error)),
        };
        if let Err(error) = released {
            // What stays is removed by the next process that looks for what is left.
            drop(live::remove(self.cluster, namespace, &order.name()).await);
            return Err(error);
        }
        Ok(())
    }

    /// Removes the Job that has the name, if it is one of this attempt that has ended.
    async fn check_taken(
        &self,
        jobs: &Api<Job>,
        order: &JobOrder<'_>,
        namespace: &str,
    ) -> Result<(), TargetStartError> {
        let (run_id, attempt) = (self.spec.run_id.clone(), self.spec.attempt);
        let found = jobs.get(&order.name()).await;
        let found = found.map_err(|error| refusal("look at the Job", namespace, &error))?;
        if !job::is_of_attempt(&found, self.registry, &run_id, attempt) {
            let message = format!(
                "the Job {} in the namespace {namespace} is not errand's, or of another registry",
                order.name()
            );
            return Err(refused(ErrorCode::JobNameTaken, message));
        }
        let found = found.status.unwrap_or_default();
        let has_ended = found.succeeded.unwrap_or_default() + found.failed.unwrap_or_default() > 0;
        if !has_ended || found.active.unwrap_or_default() > 0 {
            return Err(TargetStartError::AlreadyStarted { run_id, attempt });
        }
        Ok(live::remove(self.cluster, namespace, &order.name()).await?)
    }

    /// Waits until the shim reports that the command runs. The log and the journal say for what the Pod
    /// waits.
    async fn until_started(
        &self,
        made: &mut Made<'_>,
        name: &str,
        (log, waits): (&errand_agent::log::Writer, &StartWaits),
    ) -> Result<(), TargetStartError> {
        let mut told = None;
        let mut image_since: Option<Instant> = None;
        let begun = Instant::now();
        loop {
            let view = made.view.now();
            let wait = checked(&view, &mut image_since)?;
            let wait = match wait {
                Some(wait) => Some(wait),
                None if view.pods.is_empty() && begun.elapsed() >= NO_POD_AFTER => {
                    self.why_no_pod(made.namespace, name).await
                }
                None => None,
            };
            if wait.is_some() && wait != told {
                if let Some(wait) = &wait {
                    log.system(&format!("the Pod waits: {}", wait.line()));
                    waits.tell(&wait.reason, &wait.message);
                }
                told = wait;
            }
            tokio::select! {
                started = &mut made.started => match started {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(problem)) => return Err(self.not_started(problem)),
                    Err(_) => return Err(refused(
                        ErrorCode::PodLost,
                        "the Pod ended before its command began".to_owned(),
                    )),
                },
                () = made.view.changed() => {}
                () = tokio::time::sleep(NO_POD_AFTER) => {}
            }
        }
    }

    /// Asks the cluster why the Job has no Pod. The right to read events is not needed, only useful.
    async fn why_no_pod(&self, namespace: &str, name: &str) -> Option<PodWait> {
        let events: Api<Event> = Api::namespaced(self.cluster.client.clone(), namespace);
        let params =
            ListParams::default().fields(&format!("involvedObject.name={name},type=Warning"));
        let found = events.list(&params).await.ok()?;
        let last = found.items.into_iter().next_back()?;
        let (reason, message) = (last.reason?, last.message.unwrap_or_default());
        Some(PodWait { reason, message, kind: WaitKind::Passing })
    }

    fn not_started(&self, problem: StartProblem) -> TargetStartError {
        let program = self.spec.argv.first().cloned().unwrap_or_default();
        match problem {
            StartProblem::WorkingDirectory(errno) => TargetStartError::WorkingDirectory {
                path: self.spec.cwd.clone(),
                source: io::Error::from_raw_os_error(errno),
            },
            StartProblem::Input(errno) => TargetStartError::Input {
                path: self.spec.folder.clone(),
                source: io::Error::from_raw_os_error(errno),
            },
            StartProblem::Brief => refused(
                ErrorCode::BriefDamaged,
                "the brief in the Pod is not the one that its key names".to_owned(),
            ),
            StartProblem::Program(errno) => {
                let source = io::Error::from_raw_os_error(errno);
                if source.kind() == io::ErrorKind::NotFound {
                    TargetStartError::NotFound { program }
                } else {
                    TargetStartError::NotExecutable { program, source }
                }
            }
        }
    }
}

pub(crate) fn refused(code: ErrorCode, message: String) -> TargetStartError {
    TargetStartError::Refused { code, message }
}

fn new_key() -> io::Result<String> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}

/// Returns the reason for which the Pod waits, if there is one.
fn checked(
    view: &JobView,
    image_since: &mut Option<Instant>,
) -> Result<Option<PodWait>, TargetStartError> {
    if view.job == JobPresence::Deleted {
        return Err(refused(ErrorCode::PodLost, "the Job was deleted".to_owned()));
    }
    let Some(pod) = view.pods.values().last() else {
        return match &view.failure {
            Some(reason) => Err(refused(ErrorCode::PodLost, format!("the Job failed: {reason}"))),
            None => Ok(None),
        };
    };
    let lost =
        |reason: &str| Err(refused(ErrorCode::PodLost, format!("the Pod is lost: {reason}")));
    if view.gone.contains(&pod.uid) {
        return lost("it was deleted before its command began");
    }
    let wait = match &pod.state {
        PodState::Lost(reason) => return lost(reason),
        PodState::Ended { code, .. } => {
            return lost(&format!(
                "it ended with exit code {code} before its command began: errand's program in it \
                 could not run"
            ));
        }
        PodState::Running | PodState::Pending(None) => return Ok(None),
        PodState::Pending(Some(wait)) => wait,
    };
    let code = match wait.kind {
        WaitKind::Final(code) => Some(code),
        WaitKind::Image => {
            let since = *image_since.get_or_insert_with(Instant::now);
            (since.elapsed() >= IMAGE_LIMIT).then_some(ErrorCode::ImageNotFound)
        }
        WaitKind::Passing => None,
    };
    match code {
        Some(code) => Err(refused(code, format!("the Pod cannot start: {}", wait.line()))),
        None => Ok(Some(wait.clone())),
    }
}

/// Returns where the Pod is found.
fn locator(made: &mut Made<'_>, order: &JobOrder<'_>) -> Locator {
    let uid = made.link.pod_uid().unwrap_or_default();
    let pod = made.view.now().pods.get(&uid).cloned();
    let mut fields: BTreeMap<String, Value> = BTreeMap::from([
        ("namespace".to_owned(), made.namespace.into()),
        ("job".to_owned(), order.name().into()),
        ("pod_uid".to_owned(), uid.into()),
        ("image".to_owned(), order.place.image.clone().into()),
        (START_FOLDER.to_owned(), made.start.display().to_string().into()),
    ]);
    if let Some(pod) = pod {
        fields.insert("pod".to_owned(), pod.name.into());
        fields.extend(pod.node.map(|node| ("node".to_owned(), node.into())));
    }
    Locator { target: NAME.to_owned(), fields }
}
