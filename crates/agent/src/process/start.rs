//! Starts the leader of an attempt.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Instant;

use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::conversation;
use super::pump::Pumps;
use super::run_process::RunProcess;
use super::running::RunningProcess;
use super::sandbox::{self, PreparedSandbox};
use crate::os::{self, Launch, LaunchError, Lifetime};
use crate::regular::open_regular;
use crate::target::{AgentOutput, Input, LaunchSpec, Streams, TargetStartError};

/// Search path for programs if the environment of the attempt has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Longest payload that fits into a new pipe and needs no task to write it.
const PIPE_BYTES: usize = 64 * 1_024;

/// Starts an attempt: returns once its program runs.
///
/// Needs a tokio runtime with I/O and time. The attempt is killed when the calling *thread* ends,
/// so this must not be called on a short-lived thread (`spawn_blocking`).
///
/// # Errors
///
/// As the variants say; no process is left.
pub fn start(spec: &LaunchSpec, output: AgentOutput) -> Result<RunningProcess, TargetStartError> {
    os::adopt_orphans()?;
    let program = spec.argv.first().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "a command has at least a program")
    })?;
    let sandbox = sandbox::prepare(spec)?;
    let (stdin, to_agent) = stdin(&spec.streams)?;
    let stdin = os::above_stdio(stdin)?;
    let (stdout_reader, stdout) = pipe()?;
    let (stderr_reader, stderr) = pipe()?;
    let launch = Launch {
        candidates: candidates(program, &spec.env)?,
        argv: spec.argv.iter().map(|text| os::c_string(text)).collect::<Result<_, _>>()?,
        env: os::environment(&spec.env)?,
        cwd: os::c_string(spec.cwd.as_os_str())?,
        stdio: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
        lifetime: Lifetime::OfParent,
        confinement: sandbox.as_ref().map(|sandbox| &sandbox.confinement),
    };
    // The pumps are started first, so that steps that may fail come before the process exists.
    let (pumps, conversation) = match to_agent {
        None => (Pumps::start(Some(stdout_reader), stderr_reader, output)?, None),
        Some(to_agent) => {
            let conversation = conversation::of_pipes(to_agent, stdout_reader)?;
            (Pumps::start(None, stderr_reader, output)?, Some(conversation))
        }
    };
    let started_at = Instant::now();
    let launched = os::supervise(|| os::launch(&launch), |launched| launched.pid)
        .map_err(|error| explain(error, program, (spec, sandbox.as_ref()), &launch.candidates))?;
    drop(launch);
    let relay = sandbox.map(PreparedSandbox::started).transpose()?.flatten();
    let process = RunProcess::new((spec.run_id.clone(), spec.attempt), launched)?;
    Ok(RunningProcess::new(
        process,
        started_at,
        pumps,
        (conversation, spec.memory_limit_bytes, relay),
    ))
}

/// Returns the agent's end of stdin, and errand's end where both speak a protocol.
fn stdin(streams: &Streams) -> Result<(OwnedFd, Option<OwnedFd>), TargetStartError> {
    match streams {
        Streams::Payload(payload) => Ok((input(payload)?, None)),
        Streams::Conversation => {
            let (reader, writer) =
                rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
            Ok((reader, Some(writer)))
        }
    }
}

/// Converts a failed launch into an error with its reason.
fn explain(
    error: LaunchError,
    program: &OsStr,
    (spec, sandbox): (&LaunchSpec, Option<&PreparedSandbox>),
    candidates: &[CString],
) -> TargetStartError {
    match error {
        LaunchError::Directory(source) => {
            TargetStartError::WorkingDirectory { path: spec.cwd.clone(), source }
        }
        LaunchError::Other(source) => TargetStartError::Other(source),
        LaunchError::Confinement(part, source) => match sandbox {
            Some(sandbox) => sandbox.refused(part, &source),
            None => TargetStartError::Other(source),
        },
        LaunchError::Program(source) if source.kind() == io::ErrorKind::NotFound => {
            let is_there = candidates
                .iter()
                .any(|file| spec.cwd.join(Path::new(OsStr::from_bytes(file.as_bytes()))).is_file());
            let program = program.to_owned();
            if is_there {
                let reason = "its interpreter (see its first line) or loader does not exist";
                let source = io::Error::new(io::ErrorKind::NotFound, reason);
                TargetStartError::NotExecutable { program, source }
            } else {
                TargetStartError::NotFound { program }
            }
        }
        LaunchError::Program(source) if is_too_big(&source) => TargetStartError::Other(source),
        LaunchError::Program(source) => {
            let source = if source.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) {
                let reason = "it is no program of this machine; a script starts with #!";
                io::Error::new(io::ErrorKind::InvalidData, reason)
            } else {
                source
            };
            TargetStartError::NotExecutable { program: program.to_owned(), source }
        }
    }
}

fn is_too_big(error: &io::Error) -> bool {
    [Errno::TOOBIG, Errno::NOMEM]
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&error.raw_os_error())
}

/// Returns the files that `program` may mean, in the order in which they are tried.
pub(super) fn candidates(
    program: &OsStr,
    env: &[(OsString, OsString)],
) -> io::Result<Vec<CString>> {
    if program.is_empty() || program.as_bytes().contains(&b'/') {
        return Ok(vec![os::c_string(program)?]);
    }
    let path = env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map_or(OsStr::new(DEFAULT_PATH), |(_, path)| path.as_os_str());
    // An empty entry means the working directory to a shell. Here it is ignored, so that the choice
    // of a program does not depend on the working directory.
    path.as_bytes()
        .split(|byte| *byte == b':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| os::c_string(Path::new(OsStr::from_bytes(folder)).join(program).as_os_str()))
        .collect()
}

/// Opens a file descriptor that contains exactly the input and needs no writer.
fn input(input: &Input) -> Result<OwnedFd, TargetStartError> {
    match input {
        Input::Empty => Ok(File::open("/dev/null")?.into()),
        Input::Bytes(bytes) if bytes.is_empty() => Ok(File::open("/dev/null")?.into()),
        Input::Bytes(bytes) => match full_pipe(bytes)? {
            Some(pipe) => Ok(pipe),
            None => Ok(os::readable_copy(bytes)?),
        },
        Input::File(path) => open_regular(path)
            .map(Into::into)
            .map_err(|source| TargetStartError::Input { path: path.clone(), source }),
    }
}

/// Creates a pipe that contains `bytes` and whose other end is closed; `None` if they do not fit.
fn full_pipe(bytes: &[u8]) -> io::Result<Option<OwnedFd>> {
    if bytes.len() > PIPE_BYTES {
        return Ok(None);
    }
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&writer, true)?;
    // A pipe may be smaller than usual, because a user's pipes have a common limit.
    match rustix::io::write(&writer, bytes) {
        Ok(written) if written == bytes.len() => Ok(Some(reader)),
        Ok(_) | Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Creates a pipe for output: errand's end does not block, the agent's does.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, os::above_stdio(writer)?))
}
