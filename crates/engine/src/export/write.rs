//! An export is written.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use errand_agent::parcel::{self, Content, Parcel};
use errand_api::record::{Places, project};
use errand_model::{Digest, Head, RunId};
use errand_store::{BlobError, Stored};
use sha2::Digest as _;

use super::manifest::{EXPORT_SCHEMA, Entry, Kind, Manifest};
use super::{BLOBS, BRIEF, EVENTS, LOG, MANIFEST, PARCEL, RECORD};
use crate::evidence::blobs_of;
use crate::{Engine, Error, parcels, wait};

/// Events that are read at once.
const PAGE: u32 = 5_000;

/// Which runs may be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Only one that is over: nobody else may have another journal of it.
    Over,
    /// One that lives too, as it is now: to look at, it cannot be imported.
    Any,
}

/// Writes a run into a new file; an old one of that name is replaced only by a whole one.
///
/// # Errors
///
/// [`Error::Live`] if the run is not over and has to be; if it cannot be read, is not what was
/// written, or the file not be written.
pub async fn write_file(
    engine: &Engine,
    run_id: &RunId,
    wanted: Wanted,
    path: &Path,
) -> Result<(), Error> {
    let unwritten = |source| Error::Io { doing: "write", path: path.to_owned(), source };
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", engine.holder().process.pid));
    let part = PathBuf::from(part);
    let file = File::create_new(&part).map_err(unwritten)?;
    let written = write(engine, run_id, wanted, io::BufWriter::new(&file)).await;
    let result = written.and_then(|()| {
        file.sync_all().and_then(|()| std::fs::rename(&part, path)).map_err(unwritten)
    });
    if result.is_err() {
        drop(std::fs::remove_file(&part));
    }
    result
}

/// Writes a run as an archive.
///
/// # Errors
///
/// As [`write_file`].
pub async fn write(
    engine: &Engine,
    run_id: &RunId,
    wanted: Wanted,
    to: impl Write,
) -> Result<(), Error> {
    let stored = wait::load(engine, run_id).await?;
    if wanted == Wanted::Over && !stored.run.status.is_terminal() {
        return Err(Error::Live { run_id: run_id.clone() });
    }
    let journal = journal(engine, &stored).await?;
    let parcel = parcels::open(engine, &stored.run.spec.agent.digest)?;
    let log = crate::logs::settled(engine, &stored.run).await?;
    let io =
        |source| Error::Io { doing: "write the archive of", path: run_id.as_str().into(), source };
    let mut archive = Archive { tar: tar::Builder::new(to), entries: BTreeMap::new() };
    for digest in &journal.blobs {
        let (blob, size_bytes) = engine.blobs().open(digest)?;
        let name = format!("{BLOBS}{}", digest.hex());
        let written = archive.stream(&name, Kind::File, blob, size_bytes).map_err(io)?;
        if written != *digest {
            return Err(BlobError::Damaged { digest: digest.clone() }.into());
        }
    }
    archive
        .optional(BRIEF, &crate::supervise::scratch(engine, &stored.run).join(BRIEF))
        .map_err(io)?;
    archive.bytes(EVENTS, journal.text.as_bytes()).map_err(io)?;
    logs(&log, &mut archive).map_err(io)?;
    packaged(&parcel, &mut archive).map_err(io)?;
    archive.bytes(RECORD, &record(&stored)?).map_err(io)?;
    let artifacts = stored.run.artifacts.iter();
    let manifest = Manifest {
        schema: EXPORT_SCHEMA,
        run_id: run_id.clone(),
        events: stored.head.seq,
        hash: stored.head.hash.to_string(),
        artifacts: artifacts.map(|(name, file)| (name.clone(), file.digest.clone())).collect(),
        entries: std::mem::take(&mut archive.entries),
    };
    archive.bytes(MANIFEST, &pretty(&manifest)?).map_err(io)?;
    archive.tar.into_inner().and_then(|mut to| to.flush()).map_err(io)
}

/// The journal's lines up to the stored head, and the blobs that they name.
struct Journal {
    text: String,
    blobs: BTreeSet<Digest>,
}

async fn journal(engine: &Engine, stored: &Stored) -> Result<Journal, Error> {
    let run_id = &stored.run.id;
    let mut journal = Journal { text: String::new(), blobs: BTreeSet::new() };
    let mut head = Head::EMPTY;
    while head.seq < stored.head.seq {
        let events = engine.store().events(run_id, head.seq, PAGE).await?;
        let damaged = |reason| errand_store::Error::Damaged { run_id: run_id.to_string(), reason };
        if events.is_empty() {
            return Err(damaged(format!("event {} is missing", head.seq + 1)).into());
        }
        for event in events.iter().take_while(|event| event.seq <= stored.head.seq) {
            head.verify(event).map_err(|broken| damaged(broken.to_string()))?;
            event.write_json_line(&mut journal.text);
            journal.text.push('\n');
            journal.blobs.extend(blobs_of(event));
        }
    }
    Ok(journal)
}

/// The record as the journal alone gives it: nothing of this machine.
fn record(stored: &Stored) -> Result<Vec<u8>, Error> {
    let places = Places { log_path: LOG.to_owned(), session_file: None, supervisor: None };
    pretty(&project(&stored.run, stored.head, places))
}

fn pretty(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::Payload { reason: format!("it cannot be JSON: {error}") })?;
    text.push(b'\n');
    Ok(text)
}

/// The log and its older segments, by the bytes of their names.
fn logs(log: &Path, archive: &mut Archive<impl Write>) -> io::Result<()> {
    let mut segments = BTreeMap::from([(LOG.to_owned(), log.to_owned())]);
    for (age, path) in errand_agent::log::older(log) {
        segments.insert(format!("{LOG}.{age}"), path);
    }
    segments.iter().try_for_each(|(name, path)| archive.optional(name, path))
}

fn packaged(parcel: &Parcel, archive: &mut Archive<impl Write>) -> io::Result<()> {
    let definition = parcel.path.join(parcel::DEFINITION);
    archive.optional(&format!("{PARCEL}{}", parcel::DEFINITION), &definition)?;
    let files = parcel.files_path();
    for file in &parcel.files {
        let name = format!("{PARCEL}{}/{}", parcel::FILES, file.path);
        match &file.content {
            Content::Link { target } => archive.link(&name, target)?,
            Content::File { executable, size_bytes, digest } => {
                let kind = if *executable { Kind::Executable } else { Kind::File };
                let from = File::open(files.join(&file.path))?;
                if archive.stream(&name, kind, from, *size_bytes)? != *digest {
                    let reason = format!("{} of the parcel was changed", file.path);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
                }
            }
        }
    }
    let manifest = parcel.path.join(parcel::MANIFEST);
    archive.optional(&format!("{PARCEL}{}", parcel::MANIFEST), &manifest)
}

struct Archive<W: Write> {
    tar: tar::Builder<W>,
    entries: BTreeMap<String, Entry>,
}

impl<W: Write> Archive<W> {
    fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.stream(name, Kind::File, bytes, size_bytes).map(drop)
    }

    /// A file that may not be there; one that grows meanwhile is taken as long as it was.
    fn optional(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let size_bytes = file.metadata()?.len();
        self.stream(name, Kind::File, file, size_bytes).map(drop)
    }

    fn stream(
        &mut self,
        name: &str,
        kind: Kind,
        from: impl Read,
        size_bytes: u64,
    ) -> io::Result<Digest> {
        let mut header = header(kind, size_bytes);
        let mut hashing = Hashing::new(from.take(size_bytes));
        self.tar.append_data(&mut header, name, &mut hashing)?;
        if hashing.size_bytes != size_bytes {
            let reason = format!("{name} became shorter while it was read");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        let digest = Digest::from_hash(&hashing.hash.finalize().into());
        self.entries.insert(name.to_owned(), Entry { kind, digest: digest.clone(), size_bytes });
        Ok(digest)
    }

    fn link(&mut self, name: &str, target: &str) -> io::Result<()> {
        let mut header = header(Kind::Link, 0);
        header.set_entry_type(tar::EntryType::Symlink);
        self.tar.append_link(&mut header, name, target)?;
        let digest = Digest::of(target.as_bytes());
        self.entries.insert(name.to_owned(), Entry { kind: Kind::Link, digest, size_bytes: 0 });
        Ok(())
    }
}

/// What stands before the bytes of an entry.
pub(super) fn beginning(
    name: &str,
    kind: Kind,
    size_bytes: u64,
    target: Option<&[u8]>,
) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = header(kind, size_bytes);
    match target {
        Some(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, name, OsStr::from_bytes(target))?;
        }
        None => tar.append_data(&mut header, name, io::empty())?,
    }
    Ok(tar.get_ref().clone())
}

/// Nothing of this machine, nothing of now.
fn header(kind: Kind, size_bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size_bytes);
    header.set_mode(kind.mode());
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Passes bytes on, and hashes and counts them.
pub(super) struct Hashing<R> {
    from: R,
    pub(super) hash: sha2::Sha256,
    pub(super) size_bytes: u64,
}

impl<R> Hashing<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, hash: sha2::Sha256::new(), size_bytes: 0 }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.size_bytes += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}
