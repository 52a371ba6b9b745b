//! Manifests that a command is given, read and checked together.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use errand_api::agent_file::Problems;
use errand_api::catalog::{
    CatalogManifest, MANIFEST_LIMIT_BYTES, ManifestFile, duplicates, names_outside, unknown_names,
};
use errand_api::error_code::ErrorCode;
use errand_engine::catalog::read_path;

use crate::failure::Failure;
use crate::place::RegistryOrServer;

/// Files of manifests.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Sources {
    /// A manifest, a folder of manifests, a folder with a SKILL.md, or - for stdin; may be given
    /// again
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
}

impl Sources {
    /// Reads all manifests, and checks them with those that the catalog has.
    pub(in crate::commands) async fn read(
        &self,
        place: Option<&RegistryOrServer>,
    ) -> Result<Vec<CatalogManifest>, Failure> {
        let (mut files, mut problems) = (Vec::new(), Vec::new());
        for path in &self.files {
            let before = files.len() + problems.len();
            if path == Path::new("-") {
                match ManifestFile::parse("stdin", stdin()?) {
                    Ok(file) => files.push(file),
                    Err(found) => problems.push(found),
                }
            } else {
                let found = read_path(path)?;
                files.extend(found.files);
                problems.extend(found.problems);
            }
            if files.len() + problems.len() == before {
                let message = format!("{} has no manifest", path.display());
                return Err(Failure::new(ErrorCode::ManifestInvalid, message)
                    .hint("name a folder with *.yaml, *.json or folders with a SKILL.md in it"));
            }
        }
        problems.extend(duplicates(&files));
        // A name may be defined in a file that has problems.
        if problems.is_empty() {
            problems = unknown(place, &files).await?;
        }
        if !problems.is_empty() {
            return Err(Failure::of_manifests(&problems));
        }
        let placed = files.into_iter().flat_map(|file| file.manifests);
        Ok(placed.map(|placed| placed.manifest).collect())
    }
}

fn stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MANIFEST_LIMIT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(ErrorCode::PayloadUnreadable, "stdin cannot be read").because(&error)
    })?;
    Ok(bytes)
}

/// Returns the problems of references to definitions that exist nowhere.
async fn unknown(
    place: Option<&RegistryOrServer>,
    files: &[ManifestFile],
) -> Result<Vec<Problems>, Failure> {
    let outside = names_outside(files);
    let mut known = BTreeSet::new();
    let kinds: BTreeSet<_> = outside.iter().map(|(kind, _)| *kind).collect();
    for kind in kinds {
        let Some(place) = place else { break };
        let found = place.all_definitions(kind).await?;
        known.extend(found.into_iter().map(|entry| (kind, entry.name)));
    }
    let unknown = outside.difference(&known).cloned().collect();
    Ok(unknown_names(files, &unknown, &known))
}
