//! Files of an agent's folder to which its agent file refers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};

use errand_api::agent_file::{FileReference, PART_LIMIT_BYTES, ProblemKind, Unknown};

/// Place of a skill or config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A file of the agent's folder.
    Here,
    /// No file of the folder.
    Absent,
}

/// Looks for the file of a skill or config, whose text is part of the brief.
///
/// # Errors
///
/// [`Unknown`] if the file is too long.
pub(super) fn part(folder: &Path, reference: &FileReference) -> Result<Part, Unknown> {
    let mut too_long = None;
    for place in reference.places() {
        match fs::metadata(folder.join(&place)) {
            Ok(found) if found.is_file() && found.len() <= PART_LIMIT_BYTES => {
                return Ok(Part::Here);
            }
            Ok(found) if found.is_file() => too_long = too_long.or(Some(place)),
            Ok(_) | Err(_) => {}
        }
    }
    let Some(place) = too_long else { return Ok(Part::Absent) };
    let what = if let FileReference::Skill(_) = reference { "skill" } else { "config" };
    Err(unknown(
        format!("the {what} is longer than {PART_LIMIT_BYTES} bytes: {place}"),
        "shorten it: the brief holds all of it".to_owned(),
    ))
}

/// Checks a script of the agent's folder that the command's interpreter is to run.
///
/// # Errors
///
/// [`Unknown`] if the file is missing.
pub(super) fn script(folder: &Path, script: &str) -> Result<(), Unknown> {
    if is_file(folder, script) {
        return Ok(());
    }
    Err(unknown(
        format!("there is no {script} in the agent's folder, nor in an empty workspace"),
        format!("create {script} beside this file, or name it as it is there"),
    ))
}

/// Checks the program of a command with a relative path. A plain word may be on the search path of
/// the machine that runs it.
pub(super) fn executable(folder: &Path, program: &str) -> Result<(), Unknown> {
    if !is_file(folder, program) {
        if !program.contains('/') {
            return Ok(());
        }
        return Err(Unknown {
            message: format!("there is no file {program} in the agent's folder"),
            hint: Some("a program with a relative path is looked up beside this file".to_owned()),
            kind: ProblemKind::ProgramMissing,
        });
    }
    match fs::metadata(folder.join(program)) {
        Ok(found) if found.permissions().mode() & 0o111 == 0 => Err(Unknown {
            message: format!("the program {program} has no execute permission"),
            hint: Some(format!("chmod +x {program}, or name its interpreter first")),
            kind: ProblemKind::ProgramNotExecutable,
        }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns true if a word names a file below the folder.
fn is_file(folder: &Path, word: &str) -> bool {
    let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    !word.starts_with('-')
        && Path::new(word).components().all(is_inside)
        && folder.join(word).is_file()
}

fn unknown(message: String, hint: String) -> Unknown {
    Unknown { message, hint: Some(hint), kind: ProblemKind::Invalid }
}
