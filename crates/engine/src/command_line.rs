//! Resolution of the agent file's `command` to a program and arguments.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use errand_api::error_code::ErrorCode;
use thiserror::Error;

use crate::error::CodedError;

/// Returns the command with the full path of its program, and full paths of arguments that name
/// files of the parcel.
///
/// A word that names a file of the parcel means that file, independent of the agent's workspace; a
/// program that is not in the parcel is searched on `search_path`.
///
/// # Errors
///
/// [`ProgramProblem::NotFound`] or [`ProgramProblem::NotExecutable`].
pub(crate) fn resolve(
    command: &[String],
    parcel_files: &Path,
    search_path: &OsStr,
) -> Result<Vec<OsString>, ProgramProblem> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(ProgramProblem::NotFound { program: String::new() });
    };
    let mut words = vec![find_program(program, parcel_files, search_path)?.into_os_string()];
    for argument in arguments {
        words.push(in_parcel(argument, parcel_files).map_or_else(|| argument.into(), Into::into));
    }
    Ok(words)
}

/// Returns the command with full paths of words that name files of the parcel. Other words are for
/// the place where the agent lives.
pub(crate) fn resolve_in_parcel(command: &[String], parcel_files: &Path) -> Vec<OsString> {
    let resolve =
        |word: &String| in_parcel(word, parcel_files).map_or_else(|| word.into(), Into::into);
    command.iter().map(resolve).collect()
}

/// Returns the file of the parcel that `word` names, if there is one.
fn in_parcel(word: &str, parcel_files: &Path) -> Option<PathBuf> {
    let is_inside = !word.is_empty()
        && !word.starts_with('-')
        && Path::new(word).components().all(|part| {
            matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir)
        });
    let file = parcel_files.join(word);
    (is_inside && file.is_file()).then_some(file)
}

fn find_program(
    program: &str,
    parcel_files: &Path,
    search_path: &OsStr,
) -> Result<PathBuf, ProgramProblem> {
    match in_parcel(program, parcel_files) {
        Some(file) => check_executable(program, file),
        None => find_on_machine(program, search_path),
    }
}

/// Returns the full path of a program of this machine: one that is named by its full path, or by a
/// name that is searched on `search_path`.
///
/// # Errors
///
/// As [`resolve`].
pub(crate) fn find_on_machine(
    program: &str,
    search_path: &OsStr,
) -> Result<PathBuf, ProgramProblem> {
    if program.starts_with('/') {
        return check_executable(program, PathBuf::from(program));
    }
    let not_found = || ProgramProblem::NotFound { program: program.to_owned() };
    if program.contains('/') {
        return Err(not_found());
    }
    let mut refused = None;
    for folder in std::env::split_paths(search_path).filter(|folder| folder.is_absolute()) {
        match check_executable(program, folder.join(program)) {
            Ok(file) => return Ok(file),
            Err(error @ ProgramProblem::NotExecutable { .. }) => refused = Some(error),
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(not_found))
}

fn check_executable(program: &str, file: PathBuf) -> Result<PathBuf, ProgramProblem> {
    let refuse = |reason: &str| ProgramProblem::NotExecutable {
        program: program.to_owned(),
        reason: reason.to_owned(),
    };
    match std::fs::metadata(&file) {
        Ok(found) if found.is_dir() => Err(refuse("it is a folder")),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => Err(refuse(
            "no execute permission is set; `chmod +x` sets it, or name its interpreter, \
                 such as `command: [sh, run.sh]`",
        )),
        Ok(_) => Ok(file),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(refuse("permission denied"))
        }
        Err(_) => Err(ProgramProblem::NotFound { program: program.to_owned() }),
    }
}

/// Error: the program of an agent or of a tool server does not exist or cannot be executed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProgramProblem {
    /// The program does not exist.
    #[error("the program {program:?} was not found in the agent's parcel or on PATH")]
    NotFound {
        /// Program as the agent file names it.
        program: String,
    },
    /// The program cannot be executed.
    #[error("the program {program:?} cannot be executed: {reason}")]
    NotExecutable {
        /// Program as the agent file names it.
        program: String,
        /// Reason in words.
        reason: String,
    },
}

impl CodedError for ProgramProblem {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::CommandNotFound,
            Self::NotExecutable { .. } => ErrorCode::CommandNotExecutable,
        }
    }
}
