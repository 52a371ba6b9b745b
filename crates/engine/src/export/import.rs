//! An exported run is taken into a registry.
//!
//! Everything is verified before anything is created; then what the journal stands on comes first,
//! and the run itself last: one that is there is there whole.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use errand_agent::parcel::{self, Arrival};
use errand_model::event::EventBody;
use errand_model::run::Run;
use errand_model::{Digest, Event, RunId};
use errand_store::{Admission, Admitted, Registry, RemovedSessions};
use sha2::Digest as _;

use super::read::{Contents, Keep, log_age, read};
use super::write::Hashing;
use super::{BLOBS, BRIEF, FileError, LOG, PARCEL};
use crate::{Engine, Error, record_file};

/// What became of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The run is here now.
    Created(RunId),
    /// It was here before, with the same journal.
    Existing(RunId),
}

/// Takes an exported run in, exactly as it was: with the hashes that its journal had.
///
/// # Errors
///
/// [`FileError`]; the run is then not there. What belongs to digests (blobs, a parcel) may be.
pub async fn import(engine: &Engine, path: &Path) -> Result<Imported, FileError> {
    let mut file = super::error::open(path)?;
    let mut contents = read(&file, Keep::Events)?;
    let run_id = contents.manifest.run_id.clone();
    if !contents.journal.is_over {
        return Err(FileError::Live { run_id });
    }
    let events = std::mem::take(&mut contents.journal.events);
    let run = fold(&events)?;
    let head = contents.journal.head;
    let known = engine.store().evidence(&run_id).await.map_err(Error::from)?;
    match known {
        Some(known) if known.head == Some(head) => return Ok(Imported::Existing(run_id)),
        Some(_) => {
            let other = errand_store::Error::OtherJournal { run_id };
            return Err(Error::from(other).into());
        }
        None if engine.registry().run_events(&run_id).exists() => {
            return Err(FileError::Stray { run_id });
        }
        None => {}
    }
    file.seek(SeekFrom::Start(0))?;
    Unpack::new(engine, &contents)?.unpack(&file)?;
    if run.spec.session_id.is_some() {
        // What it said is in a session of where it ran: none here may get it.
        RemovedSessions::note_import(engine.registry(), &run_id)
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
    let admitted = engine.store().import(admission).await.map_err(Error::from)?;
    if let Admitted::Existing(run_id) = admitted {
        return Ok(Imported::Existing(run_id));
    }
    record_file::write(engine, &run, head, None)?;
    engine.store().sync_files(&run_id).await.map_err(Error::from)?;
    Ok(Imported::Created(run_id))
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
    arrival: Option<Arrival>,
}

impl<'e> Unpack<'e> {
    fn new(engine: &'e Engine, contents: &'e Contents) -> Result<Self, FileError> {
        let parcels = engine.registry().parcels();
        let arrival = match &contents.listing {
            Some(listing) => Arrival::begin(&parcels, listing.clone(), &contents.definition),
            None => Ok(None),
        };
        let arrival = arrival.map_err(Error::from)?;
        Ok(Self { engine, contents, arrival })
    }

    fn unpack(mut self, file: &File) -> Result<(), FileError> {
        let mut archive = tar::Archive::new(BufReader::new(file));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            self.entry(&name, &mut entry)?;
        }
        match self.arrival {
            Some(arrival) => Ok(arrival.finish().map_err(Error::from)?),
            None => Ok(()),
        }
    }

    fn entry(&mut self, name: &str, from: &mut impl Read) -> Result<(), FileError> {
        let run_id = &self.contents.manifest.run_id;
        let registry = self.engine.registry();
        if let Some(hex) = name.strip_prefix(BLOBS) {
            let (digest, _) = self.engine.blobs().put_stream(from).map_err(Error::from)?;
            return if digest.hex() == hex { Ok(()) } else { Err(changed(name)) };
        }
        let files = format!("{PARCEL}{}/", parcel::FILES);
        if let (Some(path), Some(arrival)) = (name.strip_prefix(&files), &mut self.arrival) {
            return Ok(arrival.file(path, from).map_err(Error::from)?);
        }
        let place = match name {
            LOG => registry.run_log(run_id),
            BRIEF => scratch(registry, run_id)?.join(BRIEF),
            name if log_age(name).is_some() => older_log(registry, run_id, name),
            _ => return Ok(()),
        };
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
    let mut file = File::create(&part)?;
    std::io::copy(&mut hashing, &mut file)?;
    file.sync_all()?;
    std::fs::rename(&part, place)?;
    Ok(Some(Digest::from_hash(&hashing.hash.finalize().into())))
}

fn changed(name: &str) -> FileError {
    FileError::Damaged { what: format!("{name} was changed while it was read") }
}

fn scratch(registry: &Registry, run_id: &RunId) -> Result<PathBuf, Error> {
    let folder = registry.run_scratch(run_id);
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    Ok(folder)
}

/// `log.3` → `runs/<id>.log.3`.
fn older_log(registry: &Registry, run_id: &RunId, name: &str) -> PathBuf {
    let mut path = registry.run_log(run_id).into_os_string();
    path.push(name.strip_prefix(LOG).unwrap_or_default());
    PathBuf::from(path)
}
