//! Start of a container's command.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::relay;
use errand_shim::{CommandStreams, LaunchOrder, StartProblem, file};
use sha2::{Digest as _, Sha256};

/// Search path if neither the image nor the agent file has one.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Exit code of a program that does not exist.
const NOT_FOUND: u8 = 127;
/// Exit code of a program that cannot be executed.
const NOT_EXECUTABLE: u8 = 126;
/// Number of the error "no such file".
const ENOENT: i32 = 2;

/// A command that was started.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) started_at: Instant,
    /// Its stdout; `None` for a conversation.
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// Starts the command of an order.
pub(super) fn start(order: &LaunchOrder, control: &Path) -> Result<Running, StartProblem> {
    let number = |error: &io::Error| error.raw_os_error().unwrap_or_default();
    let Some((program, arguments)) = order.argv.split_first() else {
        return Err(StartProblem::Program(ENOENT));
    };
    check_brief(order)?;
    relay::start(order).map_err(|error| StartProblem::Program(number(&error)))?;
    std::env::set_current_dir(&order.cwd)
        .map_err(|error| StartProblem::WorkingDirectory(number(&error)))?;
    let stdin =
        stdin(order.streams, control).map_err(|error| StartProblem::Input(number(&error)))?;
    let mut command = Command::new(program);
    command.args(arguments).envs(order.env.iter().map(|(name, value)| (name, value)));
    command.env("PATH", search_path(order)).process_group(0).stdin(stdin).stderr(Stdio::piped());
    command.stdout(match order.streams {
        CommandStreams::Payload => Stdio::piped(),
        CommandStreams::Conversation => {
            let pipe = OpenOptions::new().write(true).open(control.join(file::STDOUT));
            pipe.map_err(|error| StartProblem::Input(number(&error)))?.into()
        }
    });
    let started_at = Instant::now();
    let mut child = command.spawn().map_err(|error| StartProblem::Program(number(&error)))?;
    Ok(Running {
        pid: child.id(),
        started_at,
        stdout: child.stdout.take().map(OwnedFd::from),
        stderr: child.stderr.take().map(OwnedFd::from),
    })
}

/// Refuses a brief that is not the one that its key names: the key ends with the sha-256 of the file.
/// An agent that may not read its brief finds that out by itself.
fn check_brief(order: &LaunchOrder) -> Result<(), StartProblem> {
    let variable = |wanted: &str| {
        let found = order.env.iter().rev().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value)
    };
    let (Some(path), Some(key)) = (variable("ERRAND_BRIEF"), variable("ERRAND_BRIEF_KEY")) else {
        return Ok(());
    };
    let key = key.to_str().and_then(|key| key.rsplit('/').next()?.strip_suffix(".json"));
    let expected = key.unwrap_or_default();
    let Ok(brief) = std::fs::read(path) else { return Ok(()) };
    let digits = |byte: &u8| {
        [char::from_digit(u32::from(byte >> 4), 16), char::from_digit(u32::from(byte & 15), 16)]
    };
    let found: String = Sha256::digest(&brief).iter().flat_map(digits).flatten().collect();
    if found == expected { Ok(()) } else { Err(StartProblem::Brief) }
}

fn stdin(streams: CommandStreams, control: &Path) -> io::Result<Stdio> {
    match streams {
        // Waits until errand has opened the other end.
        CommandStreams::Conversation => File::open(control.join(file::STDIN)).map(Stdio::from),
        CommandStreams::Payload => match File::open(control.join(file::INPUT)) {
            Ok(input) => Ok(input.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Stdio::null()),
            Err(error) => Err(error),
        },
    }
}

/// Returns the search path: errand's own folder, then that of the order, or else of the image.
fn search_path(order: &LaunchOrder) -> OsString {
    let of_order = order.env.iter().rev().find(|(name, _)| name == "PATH");
    let of_order = of_order.map(|(_, path)| path.clone());
    let mut path = OsString::from(file::PROGRAMS);
    path.push(":");
    let rest = of_order.or_else(|| std::env::var_os("PATH")).filter(|path| !path.is_empty());
    path.push(rest.as_deref().unwrap_or(OsStr::new(DEFAULT_PATH)));
    path
}

/// Returns the exit code of a container whose command was not started.
pub(super) const fn exit_code_of(problem: StartProblem) -> u8 {
    match problem {
        StartProblem::Program(ENOENT) => NOT_FOUND,
        StartProblem::Program(_)
        | StartProblem::WorkingDirectory(_)
        | StartProblem::Input(_)
        | StartProblem::Brief => NOT_EXECUTABLE,
    }
}
