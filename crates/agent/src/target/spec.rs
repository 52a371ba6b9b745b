//! Order to start the agent of an attempt, and the reasons for which it may fail.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use errand_api::agent_file;
use errand_api::catalog::BusAddress;
use errand_api::gateway::task::TaskRequest;
use errand_model::RunId;
use errand_model::error_code::ErrorCode;
use errand_model::event::PinnedImage;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Order to start an agent.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// Id of the run, by which all its processes are found.
    pub run_id: RunId,
    /// Number of the attempt.
    pub attempt: u32,
    /// The place as the agent file describes it, with the target's own settings.
    pub place: agent_file::TargetKind,
    /// Image that the run's first attempt has resolved; `None`: the target takes that of `place`.
    pub image: Option<PinnedImage>,
    /// Program and arguments; at least the program. One without `/` is searched in the `PATH` of
    /// `env`; one that is relative starts from `cwd`.
    pub argv: Vec<OsString>,
    /// The whole environment: nothing else is inherited. Must hold `ERRAND_RUN_ID`.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory at the start.
    pub cwd: PathBuf,
    /// Files and folders of this machine that the agent needs, the working directory included. A
    /// target whose agents do not see this machine shows them to the agent, under the same paths.
    pub shared: Vec<SharedPath>,
    /// Folders of this machine with files of other runs, which a target that restricts its agents
    /// hides from them, but for what is shared.
    pub hidden: Vec<PathBuf>,
    /// Folder of the attempt, for files of the target. No other user of this machine can enter it.
    pub folder: PathBuf,
    /// Use of stdin and stdout.
    pub streams: Streams,
    /// Bytes of memory that everything of the attempt may use together; `None`: no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Thousandths of a core that the attempt may use; `None`: no limit. Only for targets that can
    /// enforce it.
    pub cpu_millis: Option<u64>,
    /// Processes and threads that the attempt may have; `None`: the target's own limit. Only for targets that
    /// can enforce it.
    pub pids: Option<u32>,
    /// Time that the run may take; `None`: no limit. The supervisor enforces it; a target may need it
    /// for the time after which it ends an attempt that no supervisor watches any more.
    pub time_limit: Option<Duration>,
    /// Order for a dispatcher, for the target `dispatcher`.
    pub dispatch: Option<Box<DispatchOrder>>,
}

/// Order to have an attempt carried out by a dispatcher.
#[derive(Clone, Debug)]
pub struct DispatchOrder {
    /// Dispatchers that may carry it out, the preferred one first. One of several has to answer before
    /// it is sent the task.
    pub candidates: Vec<DispatcherRoute>,
    /// Names of dispatchers that the agent file means, and that have not its target.
    pub unfit: Vec<String>,
    /// The task.
    pub task: TaskRequest,
    /// Brief of the attempt, which the task names by its key.
    pub brief: Vec<u8>,
    /// Time for a dispatcher to answer a request, or to take the task from a bus.
    pub timeout: Duration,
    /// Number of the order among those for this task: that of the attempt.
    pub number: u32,
}

/// Way to a dispatcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatcherRoute {
    /// Name of the dispatcher in the catalog.
    pub dispatcher: String,
    /// Address of its API.
    pub url: String,
    /// Name of the secret that is its API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Bus by which it gets tasks; `None`: by requests to its API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<BusRoute>,
}

/// Bus to a dispatcher, with the place for orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusRoute {
    /// Address of the bus.
    pub address: BusAddress,
    /// Place for blobs that sender and dispatcher share; `None`: the sender has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// File or folder of this machine that an agent needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPath {
    /// Absolute path.
    pub path: PathBuf,
    /// Access that the agent has.
    pub access: SharedAccess,
}

/// Access of an agent to a file or folder of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedAccess {
    /// The agent reads it. Errand made it in a folder that no other user can enter, so a target may let any
    /// user of its own read it.
    Read,
    /// The agent reads and writes it, as far as its user may.
    Write,
    /// The agent reads and writes it. Errand made it in a folder that no other user can enter, so a
    /// target may let any user of its own write it.
    Own,
}

/// Use of an agent's stdin and stdout, which its harness chooses. Stderr is always log.
#[derive(Clone, Debug)]
pub enum Streams {
    /// Stdin is given once; stdout is log, and the run's output if no other is set.
    Payload(Input),
    /// Both carry a protocol that the harness speaks.
    Conversation,
}

/// Bytes that an attempt reads from its stdin.
#[derive(Clone, Debug)]
pub enum Input {
    /// No bytes: stdin is at its end at once.
    Empty,
    /// Bytes of this buffer. An attempt that never reads them blocks nothing.
    Bytes(Vec<u8>),
    /// Bytes of this file.
    File(PathBuf),
}

/// Reason why an attempt could not be started; no process is left behind.
#[derive(Debug, Error)]
pub enum TargetStartError {
    /// The program does not exist. Exit code 127.
    #[error("program {program:?} not found")]
    NotFound {
        /// Program as it was given.
        program: OsString,
    },
    /// The program exists and cannot be executed. Exit code 126.
    #[error("program {program:?} cannot be executed")]
    NotExecutable {
        /// Program as it was given.
        program: OsString,
        /// Error, such as a missing interpreter.
        source: io::Error,
    },
    /// The working directory cannot be entered.
    #[error("working directory {path:?} cannot be entered")]
    WorkingDirectory {
        /// Path of the directory.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The file for stdin cannot be opened.
    #[error("input {path:?} cannot be read")]
    Input {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The target refuses the agent, with a code of its own: an image that does not exist, for one.
    #[error("{message}")]
    Refused {
        /// Code of the failure.
        code: ErrorCode,
        /// Text for people.
        message: String,
    },
    /// The attempt's agent was started before, and still lives.
    #[error("the agent of attempt {attempt} of run {run_id} was started before")]
    AlreadyStarted {
        /// Id of the run.
        run_id: RunId,
        /// Number of the attempt.
        attempt: u32,
    },
    /// Any other reason: no memory, no process, an argument with a NUL byte.
    #[error("the process cannot be started")]
    Other(#[from] io::Error),
}
