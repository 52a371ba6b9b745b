//! An export is read, and all of it looked at: nothing in it is believed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use errand_agent::parcel::{self, Content, Listing};
use errand_api::record::Record;
use errand_model::{Digest, Event, Head, RunId, Tampered, Tampering, diagnose};
use serde_json::Value;
use sha2::Digest as _;

use super::manifest::{EXPORT_SCHEMA, Entry, Kind, Manifest};
use super::write::{Hashing, beginning};
use super::{BLOBS, BRIEF, EVENTS, FileError, LOG, MANIFEST, PARCEL, RECORD};
use crate::evidence::{Finding, Place, Problem, blobs_of, is_terminal, no_event, parse};

/// The longest text that is held in memory whole.
const TEXT_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// The longest line of a journal: an event's data is bounded far below.
const LINE_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
/// How far behind the first event that does not hold is looked for what was done to it.
const REST_LIMIT: usize = 100_000;
/// A tar archive is made of such blocks, and ends with two that are empty.
const BLOCK_BYTES: u64 = 512;
const BLOCK: usize = 512;

/// What an export holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) manifest: Manifest,
    pub(super) journal: Journal,
    pub(super) listing: Option<Listing>,
    pub(super) definition: Vec<u8>,
}

/// The journal of an export.
#[derive(Debug)]
pub(super) struct Journal {
    run_id: Option<RunId>,
    pub(super) head: Head,
    pub(super) is_over: bool,
    /// Of the run's first event.
    parcel: Option<Digest>,
    blobs: BTreeMap<Digest, u64>,
    artifacts: BTreeMap<String, Digest>,
    /// All events, where they are wanted.
    pub(super) events: Vec<Event>,
    keep: Keep,
    found: Option<Tampered>,
}

/// Whether a journal's events are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// For who takes them in.
    Events,
    /// They are only looked at.
    Nothing,
}

/// Reads an export from its beginning to its end. The first thing that is wrong is the error.
pub(super) fn read(mut file: &File, keep: Keep) -> Result<Contents, FileError> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut walk = Walk::new(keep);
    let mut end = 0;
    let mut archive = tar::Archive::new(BufReader::new(file));
    for entry in archive.entries().map_err(foreign)? {
        let mut entry = entry.map_err(|error| {
            // What began as an export is one.
            if end > 0 { damaged(error.to_string()) } else { foreign(error) }
        })?;
        if walk.manifest.is_some() {
            return Err(damaged("something stands behind manifest.json"));
        }
        let from = entry.raw_file_position();
        let data_end = from + entry.size();
        let form = walk.entry(&mut entry)?;
        if !is_there(file, end, from, &form)? {
            return Err(damaged(format!("{:?} does not begin as errand writes it", walk.last)));
        }
        end = data_end.next_multiple_of(BLOCK_BYTES);
        let padding = usize::try_from(end - data_end).unwrap_or(0);
        if !is_there(file, data_end, end, &vec![0; padding])? {
            return Err(damaged(format!("something stands behind {:?}", walk.last)));
        }
    }
    let contents = walk.finish()?;
    if is_there(file, end, length, &[0; 2 * BLOCK])? {
        return Ok(contents);
    }
    Err(damaged("it does not end where it should"))
}

/// Whether these bytes, and no others, stand between two places of the file.
fn is_there(file: &File, from: u64, to: u64, bytes: &[u8]) -> io::Result<bool> {
    if u64::try_from(bytes.len()).ok() != to.checked_sub(from) {
        return Ok(false);
    }
    let mut found = vec![0; bytes.len()];
    file.read_exact_at(&mut found, from)?;
    Ok(found == bytes)
}

/// What does not have the form of an export.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn foreign(error: impl ToString) -> FileError {
    FileError::Foreign { reason: error.to_string() }
}

fn damaged(what: impl Into<String>) -> FileError {
    FileError::Damaged { what: what.into() }
}

struct Walk {
    last: String,
    found: BTreeMap<String, Entry>,
    journal: Journal,
    record: Option<Vec<u8>>,
    definition: Vec<u8>,
    listing: Option<Vec<u8>>,
    manifest: Option<Vec<u8>>,
}

impl Walk {
    fn new(keep: Keep) -> Self {
        let journal = Journal {
            run_id: None,
            head: Head::EMPTY,
            is_over: false,
            parcel: None,
            blobs: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            events: Vec::new(),
            keep,
            found: None,
        };
        Self {
            last: String::new(),
            found: BTreeMap::new(),
            journal,
            record: None,
            definition: Vec::new(),
            listing: None,
            manifest: None,
        }
    }

    /// Takes in one entry. Returns how errand would have begun it.
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, FileError> {
        let name = std::str::from_utf8(&entry.path_bytes()).map_err(foreign)?.to_owned();
        let kind =
            kind_of(entry).ok_or_else(|| damaged(format!("{name:?} is of no known kind")))?;
        if !is_known(&name) {
            return Err(damaged(format!("{name:?} is no part of an export")));
        }
        if name != MANIFEST && name <= self.last {
            return Err(damaged(format!("{name:?} is not in its place")));
        }
        let target = match (kind, entry.link_name_bytes()) {
            (Kind::Link, Some(target)) => Some(target.into_owned()),
            (Kind::Link | Kind::File | Kind::Executable, _) => None,
        };
        let mut hashing = Hashing::new(&mut *entry);
        match name.as_str() {
            EVENTS => self.journal.read(&mut hashing)?,
            MANIFEST => self.manifest = Some(text(&mut hashing)?),
            RECORD => self.record = Some(text(&mut hashing)?),
            name if name.strip_prefix(PARCEL) == Some(parcel::MANIFEST) => {
                self.listing = Some(text(&mut hashing)?);
            }
            name if name.strip_prefix(PARCEL) == Some(parcel::DEFINITION) => {
                self.definition = text(&mut hashing)?;
            }
            _ => drop(io::copy(&mut hashing, &mut io::sink())?),
        }
        let size_bytes = hashing.size_bytes;
        let digest = match &target {
            Some(target) => Digest::of(target),
            None => Digest::from_hash(&hashing.hash.finalize().into()),
        };
        let form = beginning(&name, kind, size_bytes, target.as_deref())?;
        self.last.clone_from(&name);
        if name != MANIFEST {
            self.found.insert(name, Entry { kind, digest, size_bytes });
        }
        Ok(form)
    }

    fn finish(self) -> Result<Contents, FileError> {
        let text = self.manifest.as_ref().ok_or_else(|| foreign("it has no manifest.json"))?;
        let manifest = manifest(text)?;
        let journal = &self.journal;
        if self.found.contains_key(EVENTS) {
            journal.check(&manifest)?;
        }
        self.check_blobs(&manifest)?;
        for (name, entry) in &manifest.entries {
            match self.found.get(name) {
                None => return Err(damaged(format!("{name} is missing"))),
                Some(found) if found != entry => {
                    return Err(damaged(format!("{name} was changed")));
                }
                Some(_) => {}
            }
        }
        if let Some(name) = self.found.keys().find(|name| !manifest.entries.contains_key(*name)) {
            return Err(damaged(format!("{name} was added")));
        }
        if journal.artifacts != manifest.artifacts {
            return Err(damaged("the list of artifacts was changed"));
        }
        self.check_record(&manifest)?;
        let listing = self.check_parcel()?;
        let Self { journal, definition, .. } = self;
        Ok(Contents { manifest, journal, listing, definition })
    }

    fn check_blobs(&self, manifest: &Manifest) -> Result<(), FileError> {
        let tampered = |entry: String, problem| {
            let finding = Box::new(Finding { place: Place::Export(entry), problem });
            Err(FileError::Tampered { run_id: manifest.run_id.clone(), finding })
        };
        for (digest, seq) in &self.journal.blobs {
            let name = format!("{BLOBS}{}", digest.hex());
            let (seq, digest) = (*seq, digest.clone());
            match self.found.get(&name) {
                None => return tampered(name, Problem::BlobMissing { seq, digest }),
                Some(found) if found.digest != digest => {
                    return tampered(name, Problem::BlobChanged { seq, digest });
                }
                Some(_) => {}
            }
        }
        let named = |name: &str| {
            let digest = format!("sha256:{}", &name[BLOBS.len()..]).parse::<Digest>();
            digest.is_ok_and(|digest| self.journal.blobs.contains_key(&digest))
        };
        match self.found.keys().find(|name| name.starts_with(BLOBS) && !named(name)) {
            Some(name) => Err(damaged(format!("{name} was added: no event names it"))),
            None => Ok(()),
        }
    }

    fn check_record(&self, manifest: &Manifest) -> Result<(), FileError> {
        let text = self.record.as_ref().ok_or_else(|| damaged("record.json is missing"))?;
        let record: Record = serde_json::from_slice(text)
            .map_err(|error| damaged(format!("record.json cannot be read: {error}")))?;
        let head = record.journal.as_ref().map(|head| (head.seq, head.hash.as_str()));
        if record.run_id == manifest.run_id && head == Some((manifest.events, &manifest.hash)) {
            return Ok(());
        }
        Err(damaged("record.json is not that of the journal"))
    }

    fn check_parcel(&self) -> Result<Option<Listing>, FileError> {
        let broken = |error: parcel::Error| damaged(error.to_string());
        let (Some(digest), Some(text)) = (&self.journal.parcel, &self.listing) else {
            return Err(damaged("the parcel is missing"));
        };
        let listing = Listing::read(text.clone(), digest).map_err(broken)?;
        if Digest::of(&self.definition) != listing.definition {
            return Err(damaged("the parcel's definition was changed"));
        }
        let files = format!("{PARCEL}{}/", parcel::FILES);
        for file in &listing.files {
            let found = self.found.get(&format!("{files}{}", file.path));
            let is_it = found.is_some_and(|found| match &file.content {
                Content::Link { target } => {
                    found.kind == Kind::Link && found.digest == Digest::of(target.as_bytes())
                }
                Content::File { size_bytes, executable, digest } => {
                    let kind = if *executable { Kind::Executable } else { Kind::File };
                    *found == Entry { kind, digest: digest.clone(), size_bytes: *size_bytes }
                }
            });
            if !is_it {
                return Err(damaged(format!("{} of the parcel was changed", file.path)));
            }
        }
        let packed = self.found.keys().filter(|name| name.starts_with(&files)).count();
        if packed != listing.files.len() {
            return Err(damaged("something was added to the parcel"));
        }
        Ok(Some(listing))
    }
}

/// The kind that an entry's header says; `None` for what errand never writes.
fn kind_of<R: Read>(entry: &tar::Entry<'_, R>) -> Option<Kind> {
    let header = entry.header();
    let kind = match (header.entry_type(), header.mode().ok()?) {
        (tar::EntryType::Regular, 0o644) => Kind::File,
        (tar::EntryType::Regular, 0o755) => Kind::Executable,
        (tar::EntryType::Symlink, 0o777) => Kind::Link,
        _ => return None,
    };
    Some(kind)
}

/// Whether errand gives an entry that name: a plain path in one of the places that there are.
fn is_known(name: &str) -> bool {
    let is_plain = name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let is_place = matches!(name, BRIEF | EVENTS | LOG | MANIFEST | RECORD)
        || log_age(name).is_some()
        || name
            .strip_prefix(BLOBS)
            .is_some_and(|hex| format!("sha256:{hex}").parse::<Digest>().is_ok())
        || name.starts_with(PARCEL);
    is_plain && is_place
}

/// The number of an older segment of the log.
pub(super) fn log_age(name: &str) -> Option<usize> {
    let age = name.strip_prefix(LOG)?.strip_prefix('.')?;
    age.parse().ok().filter(|number: &usize| *number > 0 && number.to_string() == age)
}

fn text(from: &mut impl Read) -> Result<Vec<u8>, FileError> {
    let mut text = Vec::new();
    from.take(TEXT_LIMIT_BYTES + 1).read_to_end(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > TEXT_LIMIT_BYTES {
        return Err(foreign("a part of it is longer than any that errand writes"));
    }
    Ok(text)
}

fn manifest(text: &[u8]) -> Result<Manifest, FileError> {
    let value: Value = serde_json::from_slice(text).map_err(foreign)?;
    match value.get("schema").and_then(Value::as_u64) {
        Some(schema) if schema == u64::from(EXPORT_SCHEMA) => {}
        Some(schema) => {
            let what = format!("its schema is {schema}, this program knows {EXPORT_SCHEMA}");
            return Err(FileError::Newer { what });
        }
        None => return Err(foreign("manifest.json has no schema")),
    }
    serde_json::from_value(value).map_err(foreign)
}

impl Journal {
    fn read(&mut self, from: &mut impl Read) -> Result<(), FileError> {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        let mut rest = Vec::new();
        loop {
            line.clear();
            if (&mut lines).take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let is_whole = line.pop_if(|byte| *byte == b'\n').is_some();
            let event = if is_whole { parse(&line) } else { None };
            let place = self.head.seq + 1 + u64::try_from(rest.len()).unwrap_or(0);
            let event = event.unwrap_or_else(|| no_event(self.run_id.as_ref(), place));
            if rest.is_empty() && self.follows(&event) {
                self.take(event);
            } else if rest.len() < REST_LIMIT {
                rest.push(event);
            }
        }
        if !rest.is_empty() {
            let added = Tampered { seq: self.head.seq + 1, tampering: Tampering::Added };
            self.found = Some(if self.is_over { added } else { diagnose(self.head, &rest) });
        }
        Ok(())
    }

    fn follows(&mut self, event: &Event) -> bool {
        let run_id = self.run_id.get_or_insert_with(|| event.run_id.clone());
        *run_id == event.run_id && !self.is_over && self.head.verify(event).is_ok()
    }

    fn take(&mut self, event: Event) {
        self.is_over = is_terminal(&event);
        for digest in blobs_of(&event) {
            self.blobs.entry(digest).or_insert(event.seq);
        }
        let member = |pointer: &str| {
            let data: Value = serde_json::from_str(&event.data).ok()?;
            Some(data.pointer(pointer)?.as_str()?.to_owned())
        };
        if event.seq == 1 {
            self.parcel = member("/agent/digest").and_then(|digest| digest.parse().ok());
        }
        if event.kind == "artifact.created"
            && let (Some(name), Some(Ok(digest))) =
                (member("/name"), member("/digest").map(|digest| digest.parse()))
        {
            self.artifacts.insert(name, digest);
        }
        if self.keep == Keep::Events {
            self.events.push(event);
        }
    }

    /// Compares the end with what the manifest says of it.
    fn check(&self, manifest: &Manifest) -> Result<(), FileError> {
        let at_end = |seq, tampering| Some(Tampered { seq, tampering });
        let found = self.found.or_else(|| {
            if self.head.seq < manifest.events {
                at_end(self.head.seq + 1, Tampering::Removed)
            } else if self.head.seq > manifest.events {
                at_end(manifest.events + 1, Tampering::Added)
            } else if self.head.hash.to_string() != manifest.hash {
                at_end(self.head.seq, Tampering::Changed)
            } else {
                None
            }
        });
        let run_id = &manifest.run_id;
        if let Some(told) = found {
            let place = Place::Export(EVENTS.to_owned());
            let finding = Box::new(Finding { place, problem: Problem::Event(told) });
            return Err(FileError::Tampered { run_id: run_id.clone(), finding });
        }
        if self.run_id.as_ref() == Some(run_id) {
            return Ok(());
        }
        Err(damaged("the journal is of another run than the manifest"))
    }
}
