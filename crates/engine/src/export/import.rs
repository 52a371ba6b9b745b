//! Import of an exported run into a registry.
//!
//! Everything is verified before anything is created. Blobs, parcels and files are written before
//! the run itself, so that a run in the registry is complete.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use errand_agent::parcel::{self, IncomingParcel};
use errand_model::event::EventBody;
use errand_model::run::Run;
use errand_model::{Digest, Event, Head, RunId};
use errand_store::{Admission, Registry, RemovedSessions};
use sha2::Digest as _;

use super::archive::Hashing;
use super::check::{Contents, read};
use super::journal::{self, Journal};
use super::place::{ArchiveEntry, log_age, place};
use super::{BRIEF, FileError, LOG};
use crate::error::IoFailure;
use crate::{Engine, Error, attempt_paths, record_file};

/// Result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The run was created.
    Created(RunId),
    /// The run was already in the registry, with the same journal.
    Existing(RunId),
}

/// Imports an exported run unchanged, with the hashes of its journal. A coordinator is created
/// after all its descendants, so that a run in the registry is complete.
///
/// # Errors
///
/// [`FileError`]; the run was then not created. Blobs, parcels and descendants of a coordinator may
/// have been: another import continues with what is missing.
pub async fn import(engine: &Engine, path: &Path) -> Result<Imported, FileError> {
    let mut file = super::error::open(path)?;
    let contents = read(&file)?;
    let top = contents.manifest.run_id.clone();
    if let Some((run_id, _)) = contents.runs.iter().find(|(_, journal)| !journal.is_over) {
        return Err(FileError::Live { run_id: run_id.clone() });
    }
    let mut missing = BTreeMap::new();
    for (run_id, journal) in &contents.runs {
        // Nothing is created for a journal that cannot be folded later.
        let run = fold(&events_of(&file, journal)?)?;
        if is_missing(engine, run_id, journal.head).await? {
            missing.insert(run_id.clone(), attempt_paths::scratch(engine, &run));
        } else {
            make_good(engine, &run, journal.head).await?;
        }
    }
    if missing.is_empty() {
        return Ok(Imported::Existing(top));
    }
    file.seek(SeekFrom::Start(0))?;
    Unpack { engine, contents: &contents, missing: &missing, parcel: None }.unpack(&file)?;
    // A run is older than the runs that it started.
    let children = missing.keys().rev().filter(|run_id| **run_id != top);
    for run_id in children.chain(missing.keys().find(|run_id| **run_id == top)) {
        if let Some(journal) = contents.runs.get(run_id) {
            admit(engine, events_of(&file, journal)?, journal.head).await?;
        }
    }
    Ok(Imported::Created(top))
}

/// Returns true if the run is not in the registry; fails if another run has its id.
async fn is_missing(engine: &Engine, run_id: &RunId, head: Head) -> Result<bool, FileError> {
    match engine.store().evidence(run_id).await.map_err(Error::from)? {
        Some(known) if known.head == Some(head) => Ok(false),
        Some(_) => {
            let other = errand_store::Error::OtherJournal { run_id: run_id.clone() };
            Err(Error::from(other).into())
        }
        None if engine.registry().run_events(run_id).exists() => {
            Err(FileError::Stray { run_id: run_id.clone() })
        }
        None => Ok(true),
    }
}

fn events_of(mut file: &File, journal: &Journal) -> Result<Vec<Event>, FileError> {
    file.seek(SeekFrom::Start(journal.from))?;
    journal::events(file, journal.head)
}

/// Creates a run from its journal.
async fn admit(engine: &Engine, events: Vec<Event>, head: Head) -> Result<(), FileError> {
    let run = fold(&events)?;
    if run.spec.session_id.is_some() {
        // The session's messages stayed where the run ran: a session of that id here must not get
        // them.
        RemovedSessions::note_import(engine.registry(), &run.id)
            .map_err(|error| Error::from(errand_store::Error::from(error)))?;
    }
    let admission = Admission {
        run: run.clone(),
        head,
        events,
        queued: None,
        dedup: false,
        redrives: false,
        documents: Vec::new(),
    };
    // Succeeds as well if another process imported the same run at the same time.
    engine.store().import(admission).await.map_err(Error::from)?;
    Ok(make_good(engine, &run, head).await?)
}

/// Writes the files beside the registry, also after an earlier import was killed before writing
/// them.
async fn make_good(engine: &Engine, run: &Run, head: Head) -> Result<(), Error> {
    record_file::write(engine, run, head, None)?;
    Ok(engine.store().sync_files(&run.id).await?)
}

/// Folds the events into a run; an event that this program does not know was written by a newer
/// one.
fn fold(events: &[Event]) -> Result<Run, FileError> {
    for event in events {
        let body: Result<EventBody, _> = event.body();
        body.map_err(|unknown| FileError::Newer { what: unknown.to_string() })?;
    }
    Run::fold(events).map_err(|error| FileError::Damaged { what: error.to_string() })
}

/// Second pass over the archive: writes blobs, parcels and files of runs to their places.
struct Unpack<'e> {
    engine: &'e Engine,
    contents: &'e Contents,
    /// Runs missing from the registry, each with the folder that its last attempt shared with
    /// errand.
    missing: &'e BTreeMap<RunId, PathBuf>,
    /// Parcel whose entries are being read, and its arrival unless it is in the registry already.
    /// Parcels arrive one at a time: all arrivals take the same lock.
    parcel: Option<(Digest, Option<IncomingParcel>)>,
}

impl Unpack<'_> {
    fn unpack(mut self, file: &File) -> Result<(), FileError> {
        let mut archive = tar::Archive::new(BufReader::new(file));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            match place(&name) {
                Some(ArchiveEntry::Blob(digest)) => {
                    let put = self.engine.blobs().put_stream(&mut entry).map_err(Error::from)?;
                    if put.0 != digest {
                        return Err(changed(&name));
                    }
                }
                Some(ArchiveEntry::Parcel(digest, file)) => {
                    self.packed((digest, file), &mut entry)?;
                }
                Some(ArchiveEntry::Run(run_id, file)) => {
                    let run_id = run_id.unwrap_or_else(|| self.contents.manifest.run_id.clone());
                    if let Some(scratch) = self.missing.get(&run_id) {
                        let place = self.kept(&run_id, file, scratch)?;
                        self.keep(&name, place, &mut entry)?;
                    }
                }
                Some(ArchiveEntry::Manifest) | None => {}
            }
        }
        self.finish()
    }

    fn packed(
        &mut self,
        (digest, file): (Option<Digest>, &str),
        from: &mut impl Read,
    ) -> Result<(), FileError> {
        let top = self.contents.runs.get(&self.contents.manifest.run_id);
        let Some(digest) = digest.or_else(|| top?.parcel.clone()) else { return Ok(()) };
        if self.parcel.as_ref().is_none_or(|(of, _)| *of != digest) {
            self.finish()?;
            let parcels = self.engine.registry().parcels();
            let arrival = match self.contents.parcels.get(&digest) {
                Some((listing, definition)) => {
                    IncomingParcel::begin(&parcels, listing.clone(), definition)
                        .map_err(Error::from)?
                }
                None => None,
            };
            self.parcel = Some((digest, arrival));
        }
        let path = file.strip_prefix(parcel::FILES).and_then(|path| path.strip_prefix('/'));
        match (&mut self.parcel, path) {
            (Some((_, Some(arrival))), Some(path)) => {
                Ok(arrival.file(path, from).map_err(Error::from)?)
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Moves the current parcel to its place.
    fn finish(&mut self) -> Result<(), FileError> {
        match self.parcel.take() {
            Some((_, Some(arrival))) => Ok(arrival.finish().map_err(Error::from)?),
            Some((_, None)) | None => Ok(()),
        }
    }

    /// Returns the path of a file of a run; `None` if the journal already contains it.
    fn kept(
        &self,
        run_id: &RunId,
        file: &str,
        scratch: &Path,
    ) -> Result<Option<PathBuf>, FileError> {
        let registry = self.engine.registry();
        Ok(match file {
            LOG => Some(registry.run_log(run_id)),
            BRIEF => {
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(scratch)
                    .map_err(IoFailure::of("create", scratch))
                    .map_err(Error::from)?;
                Some(scratch.join(BRIEF))
            }
            file if log_age(file).is_some() => Some(older_log(registry, run_id, file)),
            _ => None,
        })
    }

    fn keep(
        &self,
        name: &str,
        place: Option<PathBuf>,
        from: &mut impl Read,
    ) -> Result<(), FileError> {
        let Some(place) = place else { return Ok(()) };
        let expected = self.contents.manifest.entries.get(name).map(|entry| &entry.digest);
        if keep(&place, from)? == expected.cloned() { Ok(()) } else { Err(changed(name)) }
    }
}

/// Writes the bytes of `from` to the file `place`, atomically. Returns their digest.
fn keep(place: &Path, from: &mut impl Read) -> Result<Option<Digest>, FileError> {
    let mut part = place.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut hashing = Hashing::new(from);
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    std::io::copy(&mut hashing, &mut file)?;
    file.sync_all()?;
    std::fs::rename(&part, place)?;
    Ok(Some(Digest::from_hash(&hashing.hash.finalize().into())))
}

fn changed(name: &str) -> FileError {
    FileError::Damaged { what: format!("{name} was changed while it was read") }
}

/// Maps `log.3` to `runs/<id>.log.3`.
fn older_log(registry: &Registry, run_id: &RunId, name: &str) -> PathBuf {
    let mut path = registry.run_log(run_id).into_os_string();
    path.push(name.strip_prefix(LOG).unwrap_or_default());
    PathBuf::from(path)
}
