//! Start of a container: from the order of the engine's part of errand to a command that runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::PortMap;
use bollard::query_parameters::CreateContainerOptions;
use errand_agent::target::{AgentOutput, Conversation, LaunchSpec, Streams, TargetStartError};
use errand_api::agent_file::{ContainerPlace, ContainerPort, TargetKind};
use errand_model::Locator;
use errand_model::error_code::ErrorCode;
use errand_shim::{CommandStreams, LaunchOrder, Order, StartProblem};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::claim::AttemptClaim;
use crate::control::{ControlFolder, OrderPipe};
use crate::create::{self, ATTEMPT_LABEL, NAME, REGISTRY_LABEL, RUN_LABEL};
use crate::engine::{ContainerEngine, status};
use crate::image::{self, FoundImage};
use crate::kept::{KeptFolder, ProgressWriter};
use crate::live::{self, LiveContainer, StartedContainer};
use crate::output::{ContainerReported, ContainerReports, ReportPump, Started};
use crate::shim::ContainerPrograms;

/// Field of a locator with the folder of the start.
pub const START_FOLDER: &str = "folder";
/// Status of an answer that the name of a container is taken.
const CONFLICT: u16 = 409;
/// Status with which Podman says the same.
const SERVER_ERROR: u16 = 500;
/// Interval at which the engine is asked whether a container that reports nothing still runs.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Users that the kernel lets read and write everything.
const ROOT: [&str; 3] = ["", "0", "root"];

/// Start of the container of one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContainerStart<'a> {
    pub(crate) engine: &'a ContainerEngine,
    pub(crate) programs: &'a ContainerPrograms,
    pub(crate) registry: &'a str,
    /// Folder of what is kept of the attempt.
    pub(crate) kept: &'a KeptFolder,
    pub(crate) spec: &'a LaunchSpec,
}

/// A container that was created, before its command runs.
struct Created<'a> {
    id: &'a str,
    /// Folder of the start.
    start: &'a Path,
    control: &'a ControlFolder,
    argv: Vec<OsString>,
}

/// A command that runs.
struct Launched {
    orders: Arc<OrderPipe>,
    pump: JoinSet<ContainerReported>,
    conversation: Option<Conversation>,
    started_at: Instant,
}

impl ContainerStart<'_> {
    /// Starts the container; returns once its command runs. If that fails, nothing is left.
    ///
    /// # Errors
    ///
    /// As [`Target::start`](errand_agent::target::Target::start).
    pub(crate) async fn run(
        self,
        output: AgentOutput,
        claim: AttemptClaim,
    ) -> Result<LiveContainer, TargetStartError> {
        let TargetKind::Container(place) = &self.spec.place else {
            return Err(io::Error::other("the agent file names another target").into());
        };
        let image = match &self.spec.image {
            Some(pinned) => image::find_pinned(self.engine, (place, pinned), &output.waits).await?,
            None => image::find(self.engine, place, &output.waits).await?,
        };
        let argv = self.argv(&image)?;
        let start = self.kept.make_start()?;
        // Who removes what is left of the attempt may use another engine.
        self.kept.note_engine(&self.engine.address)?;
        let created = match ControlFolder::make(&start, self.spec) {
            Ok(control) => {
                let created = self.create(place, &image, &control).await;
                created.map(|id| (id, control))
            }
            Err(error) => Err(error.into()),
        };
        let (id, control) = match created {
            Ok(created) => created,
            Err(error) => {
                self.kept.remove_start(&start);
                return Err(error);
            }
        };
        let created = Created { id: &id, start: &start, control: &control, argv };
        let launched = match self.launch(place, created, output).await {
            Ok(launched) => launched,
            Err(error) => {
                // What stays is removed by the next process that looks for containers of the run.
                drop(live::remove(self.engine, &id).await);
                self.kept.remove_start(&start);
                return Err(error);
            }
        };
        let locator = self.locator(place, (&id, &image), &start).await;
        let Launched { orders, pump, conversation, started_at } = launched;
        Ok(LiveContainer::new(StartedContainer {
            engine: self.engine.clone(),
            id,
            locator,
            kept: self.kept.clone(),
            orders,
            conversation,
            pump,
            has_memory_limit: self.spec.memory_limit_bytes.is_some(),
            started_at,
            is_frozen: false,
            claim,
        }))
    }

    /// Returns the agent's command, or else that of the image.
    fn argv(&self, image: &FoundImage) -> Result<Vec<OsString>, TargetStartError> {
        let argv: Vec<OsString> = match self.spec.argv.as_slice() {
            [] => image.command.iter().map(OsString::from).collect(),
            given => given.to_vec(),
        };
        if argv.is_empty() {
            let message = "neither the agent file nor the image has a command".to_owned();
            return Err(TargetStartError::Refused { code: ErrorCode::CommandNotFound, message });
        }
        Ok(argv)
    }

    /// Creates the container of the attempt, in place of one that stopped.
    async fn create(
        &self,
        place: &ContainerPlace,
        image: &FoundImage,
        control: &ControlFolder,
    ) -> Result<String, TargetStartError> {
        let user = place.user.as_deref().unwrap_or(&image.user);
        if !ROOT.contains(&user.split(':').next().unwrap_or_default()) {
            control.admit_all_users(self.spec)?;
        }
        let name = create::name(self.spec);
        let mut has_removed_one = false;
        loop {
            let options = CreateContainerOptions {
                name: Some(name.clone()),
                ..CreateContainerOptions::default()
            };
            let body = create::configuration(
                (self.spec, place),
                image,
                self.programs,
                (&control.path, self.registry),
            );
            let refused = match self.engine.docker.create_container(Some(options), body).await {
                Ok(created) => return Ok(created.id),
                Err(error) => error,
            };
            let may_be_taken = matches!(status(&refused), Some(CONFLICT | SERVER_ERROR));
            let refusal = || self.engine.refusal("create the container", &refused);
            if !may_be_taken || has_removed_one || !self.stopped_one_of_attempt(&name).await? {
                return Err(refusal());
            }
            live::remove(self.engine, &name).await?;
            has_removed_one = true;
        }
    }

    /// Returns true if a container of that name is a stopped one of this attempt; false if there is
    /// none, or it is not errand's.
    async fn stopped_one_of_attempt(&self, name: &str) -> Result<bool, TargetStartError> {
        let Ok(found) = self.engine.docker.inspect_container(name, None).await else {
            return Ok(false);
        };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let (run_id, attempt) = (self.spec.run_id.clone(), self.spec.attempt);
        let wanted = [
            (RUN_LABEL, run_id.to_string()),
            (ATTEMPT_LABEL, attempt.to_string()),
            (REGISTRY_LABEL, self.registry.to_owned()),
        ];
        if wanted.iter().any(|(label, value)| labels.get(*label) != Some(value)) {
            return Ok(false);
        }
        let state = found.state.unwrap_or_default();
        if state.running.unwrap_or_default() || state.paused.unwrap_or_default() {
            return Err(TargetStartError::AlreadyStarted { run_id, attempt });
        }
        Ok(true)
    }

    /// Starts the created container, and its command in it.
    async fn launch(
        &self,
        place: &ContainerPlace,
        created: Created<'_>,
        output: AgentOutput,
    ) -> Result<Launched, TargetStartError> {
        let Created { id, start, control, argv } = created;
        let (orders, reports) = control.open()?;
        let orders = Arc::new(orders);
        let converses = matches!(self.spec.streams, Streams::Conversation);
        let conversation = converses.then(|| control.converse()).transpose()?;
        let (tell, started) = oneshot::channel();
        let mut pump = JoinSet::new();
        let progress = ProgressWriter::open(start)?;
        let (control, of_pump) = (control.clone(), Arc::clone(&orders));
        let reports = ContainerReports { pipe: reports, orders: of_pump, control };
        pump.spawn(ReportPump::new(reports, progress, tell, output).run());
        self.check_limits(place, id).await?;
        if let Err(error) = self.engine.docker.start_container(id, None).await {
            return Err(self.engine.refusal("start the container", &error));
        }
        let order = LaunchOrder {
            argv,
            env: self.spec.env.clone(),
            cwd: self.spec.cwd.clone().into(),
            streams: if converses { CommandStreams::Conversation } else { CommandStreams::Payload },
        };
        // A container that has ended reads nothing: an order that is longer than the pipe would wait for
        // ever.
        let order = Order::Launch(order);
        let sent = async { orders.send(&order).await.map_err(TargetStartError::from) };
        tokio::try_join!(sent, self.until_started(place, id, started))?;
        // The guard of the conversation's pipe is dropped: the agent has its end now.
        let conversation = conversation.map(|(conversation, _guard)| conversation);
        Ok(Launched { orders, pump, conversation, started_at: Instant::now() })
    }

    /// Refuses a container that has not the runtime or the limits that were asked for: an engine may
    /// ignore what it does not know.
    async fn check_limits(&self, place: &ContainerPlace, id: &str) -> Result<(), TargetStartError> {
        let memory = self.spec.memory_limit_bytes;
        if place.runtime.is_none() && memory.is_none() {
            return Ok(());
        }
        let found = self.engine.docker.inspect_container(id, None).await;
        let found = found.map_err(|error| self.engine.refusal("inspect the container", &error))?;
        let found = found.host_config.unwrap_or_default();
        let ignored = if place.runtime.is_some() && place.runtime != found.runtime {
            format!("runtime: {}", place.runtime.as_deref().unwrap_or_default())
        } else if memory.is_some_and(|bytes| i64::try_from(bytes).ok() != found.memory) {
            "resources.memory".to_owned()
        } else {
            return Ok(());
        };
        let message = format!(
            "the container engine at {} does not honour `{ignored}`; Podman, for one, takes another \
             runtime from its own configuration only",
            self.engine.address
        );
        Err(TargetStartError::Refused { code: ErrorCode::ContainerRefused, message })
    }

    /// Waits until the shim reports that the command runs.
    async fn until_started(
        &self,
        place: &ContainerPlace,
        id: &str,
        mut started: oneshot::Receiver<Started>,
    ) -> Result<(), TargetStartError> {
        loop {
            match tokio::time::timeout(LOOK_EVERY, &mut started).await {
                Ok(Ok(Ok(()))) => return Ok(()),
                Ok(Ok(Err(problem))) => return Err(self.not_started(problem)),
                Ok(Err(_)) => return Err(ended_early(place)),
                Err(_) => {
                    let found = self.engine.docker.inspect_container(id, None).await;
                    let state = found.ok().and_then(|found| found.state);
                    if !state.and_then(|state| state.running).unwrap_or_default() {
                        return Err(ended_early(place));
                    }
                }
            }
        }
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
            StartProblem::Brief => TargetStartError::Refused {
                code: ErrorCode::BriefDamaged,
                message: "the brief in the container is not the one that its key names".to_owned(),
            },
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

    /// Returns where the container is found, and what is published of it.
    async fn locator(
        &self,
        place: &ContainerPlace,
        (id, image): (&str, &FoundImage),
        start: &Path,
    ) -> Locator {
        let mut fields = BTreeMap::from([
            ("engine".to_owned(), Value::from(self.engine.address.clone())),
            ("id".to_owned(), id.into()),
            ("name".to_owned(), create::name(self.spec).into()),
            ("image".to_owned(), place.image.clone().into()),
            ("image_digest".to_owned(), image.pinned.clone().into()),
            (START_FOLDER.to_owned(), start.display().to_string().into()),
        ]);
        if !place.ports.is_empty() {
            let found = self.engine.docker.inspect_container(id, None).await.ok();
            let published = found.and_then(|found| found.network_settings?.ports);
            fields.insert("ports".to_owned(), ports(place, &published.unwrap_or_default()));
        }
        Locator { target: NAME.to_owned(), fields }
    }
}

/// Returns the refusal of a container that ended without a report.
fn ended_early(place: &ContainerPlace) -> TargetStartError {
    let message = format!(
        "the container of {} ended before its command began: errand's program in it could not \
         run; is the image for this machine's platform?",
        place.image
    );
    TargetStartError::Refused { code: ErrorCode::ContainerRefused, message }
}

/// Returns the published ports of a place, with their addresses on this machine.
fn ports(place: &ContainerPlace, published: &PortMap) -> Value {
    let one = |port: &ContainerPort| {
        let bindings = published.get(&create::port_key(port)).cloned().flatten();
        let binding = bindings.unwrap_or_default().into_iter().next().unwrap_or_default();
        json!({
            "container_port": port.container_port,
            "protocol": port.protocol.name(),
            "host": binding.host_ip,
            "port": binding.host_port.and_then(|port| port.parse::<u16>().ok()),
        })
    };
    place.ports.iter().map(one).collect()
}
