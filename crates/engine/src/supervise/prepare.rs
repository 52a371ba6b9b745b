//! Preparation of an attempt: everything before its agent can start.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use errand_agent::harness::{Harness, StreamUse};
use errand_agent::log;
use errand_agent::model_door::ModelDoor;
use errand_agent::parcel::Parcel;
use errand_agent::redact::Redactor;
use errand_agent::secret::FoundSecret;
use errand_agent::target::{
    Input, LaunchSpec, OrphanedAgent, SharedAccess, SharedPath, Streams, Target,
};
use errand_agent::workspace::{Mode, Workspaces};
use errand_api::agent_file::{Agent, TargetKind, Workspace};
use errand_model::event::AttemptSetup;
use errand_model::run::Run;
use errand_model::{Digest, brief_key, hex};

use super::door::DoorPlaces;
use super::{dispatch, door, skills};
use crate::error::{IoFailure, NoRandomness};
use crate::handover;
use crate::kept::KeptAttempt;
use crate::payload::stored_word;
use crate::{
    Engine, Error, attempt_paths, brief, command_line, environment, equipment, payload, prices,
    task_values, trace_context,
};

/// Longest payload for the agent's stdin from memory; longer ones come from the file that has them
/// anyway.
const STDIN_MEMORY_BYTES: usize = 64 * 1024;

/// File that an agent without an input reads; none is created for it.
const NO_INPUT: &str = "/dev/null";

/// Seconds for which an agent that outlives its supervisor waits for the next one: a night and more, in
/// which no command looks at the run.
const RECONNECT_SECONDS: &str = "86400";

/// Attempt that is ready to start.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) parcel: Parcel,
    /// Place where the agent is to live.
    pub(super) target: Arc<dyn Target>,
    /// Way in which the agent is driven.
    pub(super) harness: Arc<dyn Harness>,
    pub(super) beginning: Beginning,
    pub(super) redactor: Redactor,
    pub(super) log: Arc<log::Writer>,
    /// Copy of the log for other machines; `None` without a shared store.
    pub(super) log_copy: Option<Arc<log::Copy>>,
    pub(super) files: AttemptFiles,
    pub(super) token: String,
    pub(super) brief: Vec<u8>,
    pub(super) brief_digest: Digest,
    pub(super) setup: AttemptSetup,
    /// Door to the agent's model providers, until it is served.
    pub(super) door: Option<Box<dyn ModelDoor>>,
    pub(super) input: Option<Vec<u8>>,
}

/// Way in which a process comes to supervise an agent.
#[derive(Debug)]
pub(super) enum Beginning {
    /// The process starts the agent.
    Start(Box<LaunchSpec>),
    /// The process adopts the agent, which had reported this result.
    Adopt(Box<OrphanedAgent>, Box<KeptAttempt>),
}

/// Files that errand and the agent share during an attempt.
#[derive(Clone, Debug)]
pub(super) struct AttemptFiles {
    pub(super) folder: PathBuf,
    pub(super) input: PathBuf,
    pub(super) output: PathBuf,
    pub(super) brief: PathBuf,
    pub(super) socket: PathBuf,
    /// Socket of the door to model providers; `None`: the agent sees this machine's network.
    pub(super) door: Option<PathBuf>,
}

impl AttemptFiles {
    /// Returns true if the socket stays until the folder of the attempt is removed.
    pub(super) fn keeps_socket(&self) -> bool {
        self.socket.starts_with(&self.folder)
    }

    /// Removes the socket, unless it stays.
    pub(super) fn remove_socket(&self) {
        if !self.keeps_socket() {
            drop(fs::remove_file(&self.socket));
        }
    }
}

/// Prepares everything that the current attempt of `run`, whose agent is in `parcel`, needs.
///
/// # Errors
///
/// Error with which the attempt fails.
pub(super) fn prepare(engine: &Engine, run: &Run, mut parcel: Parcel) -> Result<Prepared, Error> {
    let equipment = equipment::equip(engine, &mut parcel.agent, &run.spec.catalog)?;
    let around = engine.surroundings();
    environment::spare_gateway_secrets(around, &mut parcel.agent, run.spec.replay.as_ref());
    let agent = &parcel.agent;
    prices::check(engine.registry())?;
    let (target, harness) = around.drivers_of(agent)?;
    let mut secrets = environment::secrets(around, agent)?;
    secrets.extend(task_values::secrets(around, &run.spec)?);
    let token = new_token()?;
    let redactor = redactor(&secrets, &token);
    let (log, log_copy) = begun_log(engine, run)?;
    let sees_this_machine = target.sees_this_machine();
    let files = attempt_files(engine, run, agent, sees_this_machine)?;
    let input = written_input(engine, run, &files)?;
    let brief = written_brief(engine, run, (&parcel, &redactor), &files)?;
    let workspace = workspace(engine, run, agent)?;
    let brief_digest = Digest::of(&brief);
    let of_api = (token.as_str(), target.outlives_supervisor());
    let mut own = own_variables(engine, run, (&parcel, &workspace), &files, of_api)?;
    own.push(("ERRAND_BRIEF_KEY", brief_key(&run.id, &brief_digest).into()));
    let places = DoorPlaces { socket: files.door.clone(), workspace: &workspace, log: &log };
    let door = door::opened(engine, run, (&parcel, &secrets), (&token, &redactor), places)?;
    own.extend(door::variables(door.as_deref()));
    let seen_by = (agent, sees_this_machine);
    let given = (input.as_deref(), brief.as_slice());
    let spec = LaunchSpec {
        run_id: run.id.clone(),
        attempt: run.last_attempt_number(),
        place: agent.target.clone(),
        image: run.pinned_image().cloned(),
        argv: argv(engine, run, &parcel, sees_this_machine)?,
        env: environment::of_attempt(around, seen_by, &run.spec, (&secrets, &equipment), own),
        shared: shared(engine, run, (&parcel, &workspace), &files),
        hidden: vec![engine.registry().root().to_owned(), around.runtime_dir.clone()],
        folder: files.folder.clone(),
        cwd: workspace,
        streams: match harness.streams() {
            StreamUse::Conversation => Streams::Conversation,
            StreamUse::Payload => Streams::Payload(stdin(input.as_deref(), &files)),
        },
        memory_limit_bytes: agent.resources.memory_bytes,
        cpu_millis: agent.resources.cpu_millis,
        pids: agent.resources.pids,
        dispatch: dispatch::order(engine, run, (agent, &secrets, &equipment), given)?,
        time_limit: run.spec.timeouts.run,
    };
    let setup = AttemptSetup {
        harness: harness.name().to_owned(),
        target: target.name().to_owned(),
        workspace_mode: tag(&agent.workspace, "mode"),
        workspace_path: spec.cwd.display().to_string(),
        brief_digest: brief_digest.clone(),
        registry_path: engine.registry().root().display().to_string(),
    };
    Ok(Prepared {
        parcel,
        target,
        harness,
        beginning: Beginning::Start(Box::new(spec)),
        redactor,
        log,
        log_copy,
        files,
        token,
        brief,
        brief_digest,
        setup,
        door,
        input,
    })
}

/// Prepares the working directory of an attempt, with the artifacts that others handed over.
fn workspace(engine: &Engine, run: &Run, agent: &Agent) -> Result<PathBuf, Error> {
    let workspaces = Workspaces::new(engine.registry().workspaces());
    let caller = Path::new(&run.spec.cwd);
    let workspace = workspaces.prepare(&run.id, &mode(&agent.workspace), caller)?;
    handover::put_artifacts(engine, run, &workspace)?;
    Ok(workspace)
}

/// Returns the redactor of an attempt's secrets, its token included.
pub(super) fn redactor(secrets: &[FoundSecret], token: &str) -> Redactor {
    let masked = secrets.iter().map(|secret| (secret.name.as_str(), secret.value.expose()));
    Redactor::new(masked.chain([("ERRAND_TOKEN", token.as_bytes())]))
}

/// Log of an attempt, and the copy of it for other machines.
pub(super) type OpenedLog = (Arc<log::Writer>, Option<Arc<log::Copy>>);

/// Opens the log of a run, and writes the first line of an attempt.
fn begun_log(engine: &Engine, run: &Run) -> Result<OpenedLog, Error> {
    let (log, copy) = opened_log(engine, run, log::Writer::open)?;
    log.system(&began(run));
    Ok((log, copy))
}

/// Opens the log of a run with `open`.
pub(super) fn opened_log(
    engine: &Engine,
    run: &Run,
    open: impl FnOnce(&Path) -> std::io::Result<log::Writer>,
) -> Result<OpenedLog, Error> {
    let path = engine.registry().run_log(&run.id);
    let log = open(&path).map_err(IoFailure::of("open", path))?;
    let copy = engine.store().shared_logs().map(|_| Arc::<log::Copy>::default());
    Ok(match &copy {
        Some(shared) => (Arc::new(log.copied_to(Arc::clone(shared))), copy),
        None => (Arc::new(log), copy),
    })
}

/// Returns the agent's program and arguments. One whose agent does not see this machine is searched
/// in its target, unless it is a file of the parcel.
fn argv(
    engine: &Engine,
    run: &Run,
    parcel: &Parcel,
    sees_this_machine: bool,
) -> Result<Vec<OsString>, Error> {
    let (command, files) = (&parcel.agent.command, parcel.files_path());
    if !sees_this_machine {
        return Ok(command_line::resolve_in_parcel(command, &files));
    }
    let search_path =
        environment::search_path(engine.surroundings(), run.spec.caller_env.as_deref());
    Ok(command_line::resolve(command, &files, &search_path)?)
}

/// Returns the files and folders of this machine that the agent needs.
fn shared(
    engine: &Engine,
    run: &Run,
    (parcel, workspace): (&Parcel, &Path),
    files: &AttemptFiles,
) -> Vec<SharedPath> {
    let of_workspace = match &parcel.agent.workspace {
        Workspace::Temp => SharedAccess::Own,
        Workspace::Cwd | Workspace::Worktree { .. } | Workspace::Clone { .. } => {
            SharedAccess::Write
        }
    };
    let mut shared = vec![
        SharedPath { path: parcel.files_path(), access: SharedAccess::Read },
        SharedPath { path: workspace.to_owned(), access: of_workspace },
        SharedPath { path: state_folder(engine, run), access: SharedAccess::Own },
        SharedPath { path: files.folder.clone(), access: SharedAccess::Own },
    ];
    let of_socket = files.socket.parent().filter(|folder| *folder != files.folder);
    if let Some(folder) = of_socket {
        shared.push(SharedPath { path: folder.to_owned(), access: SharedAccess::Own });
    }
    shared
}

/// Writes the run's input to its file, if it has one, and returns its bytes.
fn written_input(
    engine: &Engine,
    run: &Run,
    files: &AttemptFiles,
) -> Result<Option<Vec<u8>>, Error> {
    let input = input_of(engine, run)?;
    if let Some(input) = &input {
        write(&files.input, input)?;
    }
    Ok(input)
}

/// Returns the run's input as bytes.
pub(super) fn input_of(engine: &Engine, run: &Run) -> Result<Option<Vec<u8>>, Error> {
    let input = run.spec.input.as_ref();
    Ok(input.map(|input| payload::to_bytes(&engine.blobs(), input)).transpose()?)
}

/// Writes the brief of an attempt, and returns its bytes.
fn written_brief(
    engine: &Engine,
    run: &Run,
    (parcel, redactor): (&Parcel, &Redactor),
    files: &AttemptFiles,
) -> Result<Vec<u8>, Error> {
    let brief = brief::of_attempt(engine, parcel, run, redactor)?;
    write(&files.brief, &brief)?;
    Ok(brief)
}

/// Returns the run's input as its agent reads it from stdin.
fn stdin(input: Option<&[u8]>, files: &AttemptFiles) -> Input {
    match input {
        None => Input::Empty,
        Some(bytes) if bytes.len() <= STDIN_MEMORY_BYTES => Input::Bytes(bytes.to_vec()),
        Some(_) => Input::File(files.input.clone()),
    }
}

/// Returns the member of a value that names its variant.
fn tag(value: &impl serde::Serialize, member: &str) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.get(member).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

/// Returns the first line of the attempt's part of the log.
fn began(run: &Run) -> String {
    let reason = run.attempts.last().map(|last| stored_word(&last.reason)).unwrap_or_default();
    log::marker::began(run.last_attempt_number(), &reason)
}

fn mode(workspace: &Workspace) -> Mode {
    match workspace.clone() {
        Workspace::Temp => Mode::Temp,
        Workspace::Cwd => Mode::Cwd,
        Workspace::Worktree { r#ref } => Mode::Worktree { reference: Some(r#ref) },
        Workspace::Clone { url, r#ref } => Mode::Clone { url, reference: r#ref },
    }
}

fn own_variables(
    engine: &Engine,
    run: &Run,
    (parcel, workspace): (&Parcel, &Path),
    files: &AttemptFiles,
    (token, outlives_supervisor): (&str, bool),
) -> Result<Vec<(&'static str, OsString)>, Error> {
    let mut api = OsString::from("unix://");
    api.push(&files.socket);
    let mut own: Vec<(&'static str, OsString)> = vec![
        ("ERRAND_RUN_ID", run.id.as_str().into()),
        ("ERRAND_ATTEMPT", run.last_attempt_number().to_string().into()),
        ("ERRAND_AGENT_DIR", parcel.files_path().into()),
        ("ERRAND_WORKSPACE", workspace.into()),
        ("ERRAND_INPUT", files.input.as_os_str().into()),
        ("ERRAND_OUTPUT", files.output.as_os_str().into()),
        ("ERRAND_BRIEF", files.brief.as_os_str().into()),
        ("ERRAND_ROOT", engine.registry().root().into()),
        ("ERRAND_STATE_DIR", state_folder(engine, run).into()),
        ("ERRAND_API", api),
        ("ERRAND_TOKEN", token.into()),
    ];
    if outlives_supervisor {
        own.push(("ERRAND_RECONNECT_S", RECONNECT_SECONDS.into()));
    }
    if let Some(session) = &run.spec.session_id {
        own.push(("ERRAND_SESSION_ID", session.into()));
    }
    let span = trace_context::attempt_span(&run.id, run.last_attempt_number());
    own.push(("TRACEPARENT", trace_context::traceparent(run, span).into()));
    if let Some(state) = &run.spec.tracestate {
        own.push(("TRACESTATE", state.into()));
    }
    let skills = skills::lay_out(engine, run, &files.folder)?;
    own.extend(skills.map(|folder| ("ERRAND_SKILLS_DIR", folder.into())));
    Ok(own)
}

/// Returns the folder that an agent keeps from run to run. Agents of the same name in two
/// namespaces share nothing: `state/<agent>` in the default namespace, and
/// `state/@<namespace>/<agent>` in any other one; no agent's name begins with `@`.
fn state_folder(engine: &Engine, run: &Run) -> PathBuf {
    let all = engine.registry().state();
    let of_namespace = match &run.spec.namespace {
        Some(namespace) => all.join(format!("@{namespace}")),
        None => all,
    };
    of_namespace.join(&run.spec.agent.name)
}

fn attempt_files(
    engine: &Engine,
    run: &Run,
    agent: &Agent,
    sees_this_machine: bool,
) -> Result<AttemptFiles, Error> {
    let registry = engine.registry();
    let files = files_of(engine, run, agent, sees_this_machine);
    let folder = &files.folder;
    remove_older(engine, run)?;
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(folder).map_err(IoFailure::of("create", folder))?;
    let state = state_folder(engine, run);
    private.create(&state).map_err(IoFailure::of("create", &state))?;
    if !files.socket.starts_with(&files.folder) {
        socket_folder(registry.runs().as_path(), &files.socket)?;
    }
    Ok(files)
}

/// Returns the files of the last attempt, made or not.
pub(super) fn files_of(
    engine: &Engine,
    run: &Run,
    agent: &Agent,
    sees_this_machine: bool,
) -> AttemptFiles {
    let folder = attempt_paths::scratch(engine, run);
    let (sees_files, sees_network) = match &agent.target {
        TargetKind::Process(place) => (!place.has_own_files(), !place.has_own_network()),
        TargetKind::Container(_) | TargetKind::Kubernetes(_) => {
            (sees_this_machine, sees_this_machine)
        }
    };
    let socket = if sees_files && sees_network {
        attempt_paths::socket(engine, run)
    } else {
        attempt_paths::socket_of_its_own(engine, run)
    };
    AttemptFiles {
        input: run.spec.input.as_ref().map_or_else(|| NO_INPUT.into(), |_| folder.join("input")),
        output: folder.join("output"),
        brief: folder.join("brief.json"),
        door: (!sees_network).then(|| socket.with_file_name("door")),
        socket,
        folder,
    }
}

/// Removes files of earlier attempts: an output, or a pipe in place of a file. Folders of later
/// attempts stay: a worker may have lost the run without knowing it yet.
fn remove_older(engine: &Engine, run: &Run) -> Result<(), Error> {
    let folder = engine.registry().run_scratch(&run.id);
    if run.spec.placement.is_none() {
        return removed(&folder, fs::remove_dir_all(&folder));
    }
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if number.is_some_and(|number| number > run.last_attempt_number()) {
            continue;
        }
        let is_folder = entry.file_type().is_ok_and(|found| found.is_dir());
        let path = entry.path();
        let result = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed(&path, result)?;
    }
    Ok(())
}

/// Returns the error of a removal. A path that does not exist is none.
fn removed(path: &Path, result: std::io::Result<()>) -> Result<(), Error> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(IoFailure::of("remove", path)(error).into())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the folder of a socket outside the registry, and accepts an existing one only if no other
/// user can have made it or can enter it.
fn socket_folder(runs: &Path, socket: &Path) -> Result<(), Error> {
    let Some(folder) = socket.parent().filter(|folder| *folder != runs) else { return Ok(()) };
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(folder).map_err(IoFailure::of("create", folder))?;
    let found = fs::symlink_metadata(folder).map_err(IoFailure::of("look at", folder))?;
    let is_private = found.is_dir()
        && found.uid() == rustix::process::geteuid().as_raw()
        && found.mode() & 0o077 == 0;
    if is_private {
        return Ok(());
    }
    let other = std::io::Error::new(
        std::io::ErrorKind::PermissionDenied,
        "others have access to it, or it is not a folder of this user",
    );
    Err(IoFailure::of("use", folder)(other).into())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    Ok(file.and_then(|mut file| file.write_all(bytes)).map_err(IoFailure::of("write", path))?)
}

/// Returns a random token.
fn new_token() -> Result<String, Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| NoRandomness { reason: error.to_string() })?;
    Ok(hex(&bytes))
}
