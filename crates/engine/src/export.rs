//! A run in one file, and whether a file or a journal is what was written.
//!
//! A tar archive: `manifest.json` last (the sha-256 of every other entry), `record.json`,
//! `events.jsonl`, `log`, `parcel/…`, `blobs/<hex>`. Everything that `errand verify` needs is in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::path::Path;

use errand_model::event::Event;
use errand_model::{Broken, Digest, Head, RunId};
use errand_store::Stored;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::{Engine, Error, record_file, wait};

/// The version of the archive's layout.
pub const EXPORT_SCHEMA: u32 = 1;
/// Events that are read at once.
const PAGE: u32 = 5_000;
/// The largest text entry that is read whole.
const TEXT_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

/// What was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many events the journal has.
    pub events: u64,
    /// Whether the run is over: nothing can be cut off at the end unnoticed.
    pub is_sealed: bool,
    /// The last event's hash.
    pub hash: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    schema: u32,
    run_id: RunId,
    events: u64,
    entries: BTreeMap<String, Digest>,
}

/// What is known of a journal that was verified up to `head`.
pub fn verified(head: Head, last: Option<&Event>) -> Verified {
    let is_sealed = last.is_some_and(|event| {
        matches!(event.kind.as_str(), "run.completed" | "run.failed" | "run.cancelled")
    });
    Verified { events: head.seq, is_sealed, hash: head.hash.to_string() }
}

/// Writes a run into a new file; an old one of that name is replaced only by a whole one.
///
/// # Errors
///
/// If the run cannot be read or the file not be written.
pub async fn write_file(engine: &Engine, run_id: &RunId, path: &Path) -> Result<(), Error> {
    let unwritten = |source| Error::Io { doing: "write", path: path.to_owned(), source };
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", engine.holder().process.pid));
    let part = std::path::PathBuf::from(part);
    let file = File::create_new(&part).map_err(unwritten)?;
    let written = write(engine, run_id, io::BufWriter::new(&file)).await;
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
/// If the run cannot be read or the archive not be written.
pub async fn write(engine: &Engine, run_id: &RunId, to: impl Write) -> Result<(), Error> {
    let stored = wait::load(engine, run_id).await?;
    let mut journal = String::new();
    let mut after = 0;
    loop {
        let events = engine.store().events(run_id, after, PAGE).await?;
        let Some(last) = events.last() else { break };
        after = last.seq;
        for event in &events {
            journal.push_str(&event.to_json_line());
            journal.push('\n');
        }
    }
    let io =
        |source| Error::Io { doing: "write the archive of", path: run_id.as_str().into(), source };
    let mut archive = Archive { tar: tar::Builder::new(to), entries: BTreeMap::new() };
    archive.tar.follow_symlinks(false);
    let record =
        serde_json::to_vec_pretty(&record_file::with_journal(engine, &stored)).unwrap_or_default();
    archive.bytes("record.json", &record).map_err(io)?;
    archive.bytes("events.jsonl", journal.as_bytes()).map_err(io)?;
    files(engine, &stored, &journal, &mut archive).map_err(io)?;
    let entries = std::mem::take(&mut archive.entries);
    let manifest =
        Manifest { schema: EXPORT_SCHEMA, run_id: run_id.clone(), events: after, entries };
    let manifest = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    archive.bytes("manifest.json", &manifest).map_err(io)?;
    archive.tar.into_inner().and_then(|mut to| to.flush()).map_err(io)
}

/// The log, the parcel, and every blob that the journal names.
fn files(
    engine: &Engine,
    stored: &Stored,
    journal: &str,
    archive: &mut Archive<impl Write>,
) -> io::Result<()> {
    let registry = engine.registry();
    archive.file("log", &registry.run_log(&stored.run.id))?;
    let parcel = registry.parcels().join(stored.run.spec.agent.digest.hex());
    archive.folder("parcel", &parcel)?;
    let blobs = engine.blobs();
    let mut named: Vec<&str> = Vec::new();
    // Digests stand in journals in this form only; naming one that is no blob costs a look.
    for (place, _) in journal.match_indices("sha256:") {
        if let Some(text) = journal.get(place..place + 71) {
            named.push(text);
        }
    }
    named.sort_unstable();
    named.dedup();
    for text in named {
        if let Ok(digest) = text.parse::<Digest>() {
            archive.file(&format!("blobs/{}", digest.hex()), &blobs.path(&digest))?;
        }
    }
    Ok(())
}

struct Archive<W: Write> {
    tar: tar::Builder<W>,
    entries: BTreeMap<String, Digest>,
}

impl<W: Write> Archive<W> {
    fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        header.set_mode(0o644);
        self.tar.append_data(&mut header, name, bytes)?;
        self.entries.insert(name.to_owned(), Digest::of(bytes));
        Ok(())
    }

    /// A file that may not be there; one that grows meanwhile is taken as long as it was.
    fn file(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let size = file.metadata()?.len();
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        let mut hashing = Hashing { from: (&mut file).take(size), hash: sha2::Sha256::new() };
        self.tar.append_data(&mut header, name, &mut hashing)?;
        self.entries.insert(name.to_owned(), Digest::from_hash(&hashing.hash.finalize().into()));
        Ok(())
    }

    fn folder(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let mut children: Vec<_> = match std::fs::read_dir(path) {
            Ok(children) => children.collect::<Result<_, _>>()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        children.sort_by_key(std::fs::DirEntry::file_name);
        for child in children {
            let kind = child.file_type()?;
            let name = format!("{name}/{}", child.file_name().to_string_lossy());
            if kind.is_dir() {
                self.folder(&name, &child.path())?;
            } else if kind.is_file() {
                self.file(&name, &child.path())?;
            } else if kind.is_symlink() {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                self.tar.append_link(&mut header, &name, std::fs::read_link(child.path())?)?;
            }
        }
        Ok(())
    }
}

struct Hashing<R> {
    from: R,
    hash: sha2::Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// Why a file is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// It is neither an export nor a journal.
    #[error("the file is neither an export nor a journal: {reason}")]
    Foreign {
        /// What is wrong.
        reason: String,
    },
    /// Its journal is not what was written.
    #[error("the journal is not what was written")]
    Broken(#[from] Broken),
    /// One of its entries is not what was written.
    #[error("{entry} is not what was exported")]
    Entry {
        /// Which.
        entry: String,
    },
}

/// Verifies an export or a journal file.
///
/// # Errors
///
/// [`FileError`] that names the first thing that is wrong.
pub fn verify_file(path: &Path) -> Result<Verified, FileError> {
    let mut file = BufReader::new(File::open(path)?);
    if file.fill_buf()?.first() == Some(&b'{') {
        let mut text = String::new();
        file.take(TEXT_LIMIT_BYTES).read_to_string(&mut text)?;
        return verify_journal(&text, None);
    }
    verify_archive(file)
}

fn verify_journal(text: &str, run_id: Option<&RunId>) -> Result<Verified, FileError> {
    let mut head = Head::EMPTY;
    let mut last: Option<Event> = None;
    for (number, line) in text.lines().enumerate() {
        let foreign = |reason: String| FileError::Foreign {
            reason: format!("line {}: {reason}", number + 1),
        };
        let event = Event::from_json_line(line).map_err(|error| foreign(error.to_string()))?;
        let expected = run_id.or(last.as_ref().map(|last| &last.run_id));
        if expected.is_some_and(|expected| *expected != event.run_id) {
            return Err(foreign(format!("it is of run {}", event.run_id)));
        }
        head.verify(&event)?;
        last = Some(event);
    }
    if last.is_none() {
        return Err(FileError::Foreign { reason: "it is empty".to_owned() });
    }
    Ok(verified(head, last.as_ref()))
}

fn verify_archive(from: impl Read) -> Result<Verified, FileError> {
    let foreign = |reason: &str| FileError::Foreign { reason: reason.to_owned() };
    let mut found = BTreeMap::new();
    let (mut journal, mut manifest) = (None, None);
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries().map_err(|error| foreign(&error.to_string()))? {
        let entry = entry.map_err(|error| foreign(&error.to_string()))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut hashing = Hashing { from: entry, hash: sha2::Sha256::new() };
        if name == "events.jsonl" || name == "manifest.json" {
            let mut text = String::new();
            (&mut hashing).take(TEXT_LIMIT_BYTES).read_to_string(&mut text)?;
            if name == "manifest.json" {
                manifest = Some(text);
                continue;
            }
            journal = Some(text);
        } else {
            io::copy(&mut hashing, &mut io::sink())?;
        }
        found.insert(name, Digest::from_hash(&hashing.hash.finalize().into()));
    }
    let manifest: Manifest =
        serde_json::from_str(&manifest.ok_or_else(|| foreign("it has no manifest.json"))?)
            .map_err(|error| foreign(&error.to_string()))?;
    let verified = verify_journal(
        &journal.ok_or_else(|| foreign("it has no events.jsonl"))?,
        Some(&manifest.run_id),
    )?;
    for (name, digest) in &manifest.entries {
        if found.remove(name).as_ref() != Some(digest) {
            return Err(FileError::Entry { entry: name.clone() });
        }
    }
    match found.into_keys().next() {
        Some(entry) => Err(FileError::Entry { entry }),
        None if verified.events != manifest.events => {
            Err(FileError::Entry { entry: "events.jsonl".to_owned() })
        }
        None => Ok(verified),
    }
}
