//! Files of the catalog's skills, laid out for an attempt: a folder for each skill.
//!
//! Skills of the parcel are in the agent's folder, and are not copied.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use errand_api::catalog::{CatalogSpec, SKILL_FILE_NAME, SkillDefinition};
use errand_model::catalog::CatalogKind;
use errand_model::run::Run;

use crate::error::IoFailure;
use crate::{Engine, Error, catalog};

/// Folder of the skills below that of an attempt.
const FOLDER: &str = "skills";

/// Writes the skills that the run has pinned, each with its `SKILL.md`. Returns their folder; `None`
/// if there are none.
///
/// # Errors
///
/// If a manifest is missing, or a file cannot be written.
pub(super) fn lay_out(
    engine: &Engine,
    run: &Run,
    attempt: &Path,
) -> Result<Option<PathBuf>, Error> {
    let folder = attempt.join(FOLDER);
    let mut is_any = false;
    for pin in run.spec.catalog.iter().filter(|pin| pin.kind == CatalogKind::Skill) {
        let found = catalog::manifest_of(engine, &run.spec.catalog, pin.kind, &pin.name)?;
        if let Some(CatalogSpec::Skill(skill)) = found.map(|manifest| manifest.spec) {
            write_skill(&folder.join(&pin.name), &skill)?;
            is_any = true;
        }
    }
    Ok(is_any.then_some(folder))
}

fn write_skill(folder: &Path, skill: &SkillDefinition) -> Result<(), Error> {
    write_file(&folder.join(SKILL_FILE_NAME), skill.instructions.as_bytes(), false)?;
    for (path, file) in &skill.files {
        // Paths were checked when the manifest was read: they lead nowhere else.
        let bytes = file.bytes().unwrap_or_default();
        write_file(&folder.join(path), &bytes, file.is_executable())?;
    }
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8], is_executable: bool) -> Result<(), Error> {
    let mode = if is_executable { 0o700 } else { 0o600 };
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(IoFailure::of("create", parent))?;
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(mode).open(path);
    Ok(file.and_then(|mut file| file.write_all(bytes)).map_err(IoFailure::of("write", path))?)
}
