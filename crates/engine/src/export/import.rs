//! An exported run is taken into a registry.
//!
//! Everything is verified before anything is created; then what the journal stands on comes first,
//! and the run itself last: one that is there is there whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use errand_agent::parcel::{self, Arrival};
use errand_model::event::EventBody;
use errand_model::run::Run;
use errand_model::{Digest, Event, Head, RunId};
use errand_store::{Admission, Registry, RemovedSessions};
use sha2::Digest as _;

use super::archive::Hashing;
use super::journal::{self, Journal};
use super::place::{Place, log_age, place};
use super::read::{Contents, read};
use super::{BRIEF, FileError, LOG};
use crate::{Engine, Error, record_file, supervise};

/// What became of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The run is here now.
    Created(RunId),
    /// It was here before, with the same journal.
    Existing(RunId),
}

/// Takes an exported run in, exactly as it was: with the hashes that its journal had. A coordinator
/// comes after all runs that it started, so that what is there is there whole.
///
/// # Errors
///
/// [`FileError`]; the run is then not there. What belongs to digests (blobs, parcels) may be, and of a
/// coordinator runs that it started: another import goes on with what is missing.
pub async fn import(engine: &Engine, path: &Path) -> Result<Imported, FileError> {
    let mut file = super::error::open(path)?;
    let contents = read(&file)?;
    let top = contents.manifest.run_id.clone();
    if let Some((run_id, _)) = contents.runs.iter().find(|(_, journal)| !journal.is_over) {
        return Err(FileError::Live { run_id: run_id.clone() });
    }
    let mut missing = BTreeMap::new();
    for (run_id, journal) in &contents.runs {
        // Nothing is created for what cannot be read later.
        let run = fold(&events_of(&file, journal)?)?;
        if is_missing(engine, run_id, journal.head).await? {
            missing.insert(run_id.clone(), supervise::scratch(engine, &run));
        } else {
            make_good(engine, &run, journal.head).await?;
        }
    }
    if missing.is_empty() {
        return Ok(Imported::Existing(top));
    }
    file.seek(SeekFrom::Start(0))?;
    Unpack { engine, contents: &contents, missing: &missing, parcel: None }.unpack(&file)?;
    // Whoever started a run is older than that.
    let children = missing.keys().rev().filter(|run_id| **run_id != top);
    for run_id in children.chain(missing.keys().find(|run_id| **run_id == top)) {
        if let Some(journal) = contents.runs.get(run_id) {
            admit(engine, events_of(&file, journal)?, journal.head).await?;
        }
    }
    Ok(Imported::Created(top))
}

/// Whether a run is not here; another one of its id must not be.
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

/// Makes a run out of its journal.
async fn admit(engine: &Engine, events: Vec<Event>, head: Head) -> Result<(), FileError> {
    let run = fold(&events)?;
    if run.spec.session_id.is_some() {
        // What it said is in a session of where it ran: none here may get it.
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
    // The same of one that somebody else imported at the same time.
    engine.store().import(admission).await.map_err(Error::from)?;
    Ok(make_good(engine, &run, head).await?)
}

/// The files beside the registry, also where an earlier import was killed before it had written them.
async fn make_good(engine: &Engine, run: &Run, head: Head) -> Result<(), Error> {
    record_file::write(engine, run, head, None)?;
    Ok(engine.store().sync_files(&run.id).await?)
}

/// The run; an event that this program cannot read was written by a newer one.
fn fold(events: &[Event]) -> Result<Run, FileError> {
    for event in events {
        let body: Result<EventBody, _> = event.body();
        body.map_err(|unknown| FileError::Newer { what: unknown.to_string() })?;
    }
    Run::fold(events).map_err(|error| FileError::Damaged { what: error.to_string() })
}

/// The second reading: what belongs to digests goes where it belongs.
struct Unpack<'e> {
    engine: &'e Engine,
    contents: &'e Contents,
    /// Runs that are not here, each with the folder that its last attempt shared with errand.
    missing: &'e BTreeMap<RunId, PathBuf>,
    /// The parcel whose entries come, and where it goes unless it is here. One at a time: all take
    /// the same lock.
    parcel: Option<(Digest, Option<Arrival>)>,
}

impl Unpack<'_> {
    fn unpack(mut self, file: &File) -> Result<(), FileError> {
        let mut archive = tar::Archive::new(BufReader::new(file));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            match place(&name) {
                Some(Place::Blob(digest)) => {
                    let put = self.engine.blobs().put_stream(&mut entry).map_err(Error::from)?;
                    if put.0 != digest {
                        return Err(changed(&name));
                    }
                }
                Some(Place::Parcel(digest, file)) => self.packed((digest, file), &mut entry)?,
                Some(Place::Run(run_id, file)) => {
                    let run_id = run_id.unwrap_or_else(|| self.contents.manifest.run_id.clone());
                    if let Some(scratch) = self.missing.get(&run_id) {
                        let place = self.kept(&run_id, file, scratch)?;
                        self.keep(&name, place, &mut entry)?;
                    }
                }
                Some(Place::Manifest) | None => {}
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
                    Arrival::begin(&parcels, listing.clone(), definition).map_err(Error::from)?
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

    /// Puts the parcel in its place of which entries came.
    fn finish(&mut self) -> Result<(), FileError> {
        match self.parcel.take() {
            Some((_, Some(arrival))) => Ok(arrival.finish().map_err(Error::from)?),
            Some((_, None)) | None => Ok(()),
        }
    }

    /// Where a file of a run is kept; `None` where the journal gives it.
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
                    .map_err(Error::io("create", scratch))?;
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

/// Gives the file `place` what `from` has, whole or not at all. Returns its digest.
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

/// `log.3` → `runs/<id>.log.3`.
fn older_log(registry: &Registry, run_id: &RunId, name: &str) -> PathBuf {
    let mut path = registry.run_log(run_id).into_os_string();
    path.push(name.strip_prefix(LOG).unwrap_or_default());
    PathBuf::from(path)
}
