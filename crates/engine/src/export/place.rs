//! Parser of entry names.

use std::io::Read;

use errand_agent::parcel;
use errand_model::{Digest, RunId};

use super::manifest::Kind;
use super::{BLOBS, BRIEF, EVENTS, LOG, MANIFEST, PARCEL, PARCELS, RECORD, RUNS};

/// Part of an export that an entry belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ArchiveEntry<'n> {
    /// `manifest.json`.
    Manifest,
    /// A blob.
    Blob(Digest),
    /// A file of a run; `None` for the top run.
    Run(Option<RunId>, &'n str),
    /// A file of a parcel; `None` for the agent of the top run.
    Parcel(Option<Digest>, &'n str),
}

/// Parses an entry name; `None` for a name that errand never writes.
pub(super) fn place(name: &str) -> Option<ArchiveEntry<'_>> {
    let is_plain = name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !is_plain {
        return None;
    }
    if name == MANIFEST {
        return Some(ArchiveEntry::Manifest);
    }
    if let Some(hex) = name.strip_prefix(BLOBS) {
        return digest(hex).map(ArchiveEntry::Blob);
    }
    if let Some(file) = name.strip_prefix(PARCEL) {
        return is_packed(file).then_some(ArchiveEntry::Parcel(None, file));
    }
    if let Some(rest) = name.strip_prefix(PARCELS) {
        let (hex, file) = rest.split_once('/')?;
        return is_packed(file).then_some(ArchiveEntry::Parcel(Some(digest(hex)?), file));
    }
    let (run_id, file) = match name.strip_prefix(RUNS) {
        Some(rest) => {
            let (id, file) = rest.split_once('/')?;
            let run_id: RunId = id.parse().ok()?;
            // Another spelling of the same id is refused.
            (Some(run_id).filter(|run_id| run_id.as_str() == id)?.into(), file)
        }
        None => (None, name),
    };
    let is_file = matches!(file, BRIEF | EVENTS | LOG | RECORD) || log_age(file).is_some();
    is_file.then_some(ArchiveEntry::Run(run_id, file))
}

fn is_packed(file: &str) -> bool {
    let below = file.strip_prefix(parcel::FILES).is_some_and(|path| path.starts_with('/'));
    below || matches!(file, parcel::DEFINITION | parcel::MANIFEST)
}

fn digest(hex: &str) -> Option<Digest> {
    format!("sha256:{hex}").parse().ok()
}

/// Returns the number of an older log segment.
pub(super) fn log_age(name: &str) -> Option<usize> {
    let age = name.strip_prefix(LOG)?.strip_prefix('.')?;
    age.parse().ok().filter(|number: &usize| *number > 0 && number.to_string() == age)
}

/// Returns the kind in an entry's header; `None` for a header that errand never writes.
pub(super) fn kind_of<R: Read>(entry: &tar::Entry<'_, R>) -> Option<Kind> {
    let header = entry.header();
    let kind = match (header.entry_type(), header.mode().ok()?) {
        (tar::EntryType::Regular, 0o644) => Kind::File,
        (tar::EntryType::Regular, 0o755) => Kind::Executable,
        (tar::EntryType::Symlink, 0o777) => Kind::Link,
        _ => return None,
    };
    Some(kind)
}
