//! Reader of an export: every byte is checked, since the file may be forged.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use errand_agent::parcel;
use errand_api::record::RunRecord;
use errand_model::{Digest, RunId};
use sha2::Digest as _;

use super::archive::{Hashing, beginning};
use super::fault::{damaged, foreign};
use super::journal::Journal;
use super::manifest::{Entry, Kind};
use super::place::{ArchiveEntry, kind_of, place};
use super::{EVENTS, FileError, RECORD};

/// Longest text that is read into memory whole.
const TEXT_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// Size of a tar block; an archive is made of blocks and ends with two empty ones.
const BLOCK_BYTES: u64 = 512;
const BLOCK: usize = 512;

/// Reads an export from beginning to end. The first problem found is the error.
pub(super) fn walk(mut file: &File) -> Result<ExportReader, FileError> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut walk = ExportReader::default();
    let mut end = 0;
    let mut archive = tar::Archive::new(BufReader::new(file));
    for entry in archive.entries().map_err(foreign)? {
        let mut entry = entry.map_err(|error| {
            // After a first valid entry the file counts as a changed export, not as a foreign file.
            if end > 0 { damaged(error.to_string()) } else { foreign(error) }
        })?;
        if walk.manifest.is_some() {
            return Err(damaged("something stands behind manifest.json"));
        }
        let from = entry.raw_file_position();
        let data_end = from + entry.size();
        let form = walk.entry(&mut entry, from)?;
        if !is_there(file, end, from, &form)? {
            return Err(damaged(format!("{:?} does not begin as errand writes it", walk.last)));
        }
        end = data_end.next_multiple_of(BLOCK_BYTES);
        let padding = usize::try_from(end - data_end).unwrap_or(0);
        if !is_there(file, data_end, end, &vec![0; padding])? {
            return Err(damaged(format!("something stands behind {:?}", walk.last)));
        }
    }
    if is_there(file, end, length, &[0; 2 * BLOCK])? {
        return Ok(walk);
    }
    Err(damaged("it does not end where it should"))
}

/// Returns true if exactly `bytes` stand between two offsets of the file.
fn is_there(file: &File, from: u64, to: u64, bytes: &[u8]) -> io::Result<bool> {
    if u64::try_from(bytes.len()).ok() != to.checked_sub(from) {
        return Ok(false);
    }
    let mut found = vec![0; bytes.len()];
    file.read_exact_at(&mut found, from)?;
    Ok(found == bytes)
}

/// Parts of an export read so far.
#[derive(Debug, Default)]
pub(super) struct ExportReader {
    last: String,
    /// All entries but the manifest.
    pub(super) found: BTreeMap<String, Entry>,
    /// By id; `None` for the top run.
    pub(super) runs: BTreeMap<Option<RunId>, RunPart>,
    /// By digest; `None` for the parcel of the top run.
    pub(super) parcels: BTreeMap<Option<Digest>, ParcelPart>,
    pub(super) manifest: Option<Vec<u8>>,
}

/// Parts of one run.
#[derive(Debug)]
pub(super) struct RunPart {
    pub(super) journal: Journal,
    /// Run id and head in its record, or the reason why the record cannot be read.
    pub(super) record: Option<Result<StatedHead, String>>,
}

/// Run id and head that a record states.
#[derive(Debug)]
pub(super) struct StatedHead {
    pub(super) run_id: RunId,
    /// Number and hash of the last event.
    pub(super) head: Option<(u64, String)>,
}

/// Parts of one parcel, besides its files.
#[derive(Debug, Default)]
pub(super) struct ParcelPart {
    pub(super) definition: Vec<u8>,
    pub(super) listing: Option<Vec<u8>>,
}

impl ExportReader {
    /// Reads one entry, whose content begins at offset `from`. Returns the header bytes that errand
    /// would have written for it.
    fn entry<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        from: u64,
    ) -> Result<Vec<u8>, FileError> {
        let name = std::str::from_utf8(&entry.path_bytes()).map_err(foreign)?.to_owned();
        let kind =
            kind_of(entry).ok_or_else(|| damaged(format!("{name:?} is of no known kind")))?;
        let Some(place) = place(&name) else {
            return Err(damaged(format!("{name:?} is no part of an export")));
        };
        if place != ArchiveEntry::Manifest && name <= self.last {
            return Err(damaged(format!("{name:?} is not in its place")));
        }
        let target = match (kind, entry.link_name_bytes()) {
            (Kind::Link, Some(target)) => Some(target.into_owned()),
            (Kind::Link | Kind::File | Kind::Executable, _) => None,
        };
        let is_manifest = place == ArchiveEntry::Manifest;
        let mut hashing = Hashing::new(&mut *entry);
        self.take(place, &mut hashing, from)?;
        let size_bytes = hashing.size_bytes;
        let digest = match &target {
            Some(target) => Digest::of(target),
            None => Digest::from_hash(&hashing.hash.finalize().into()),
        };
        let form = beginning(&name, kind, size_bytes, target.as_deref())?;
        self.last.clone_from(&name);
        if !is_manifest {
            self.found.insert(name, Entry { kind, digest, size_bytes });
        }
        Ok(form)
    }

    /// Reads an entry to its end, and keeps the needed part.
    fn take(
        &mut self,
        place: ArchiveEntry<'_>,
        mut bytes: impl Read,
        from: u64,
    ) -> Result<(), FileError> {
        match place {
            ArchiveEntry::Manifest => self.manifest = Some(text(&mut bytes)?),
            ArchiveEntry::Run(run_id, name) => {
                let part = self
                    .runs
                    .entry(run_id)
                    .or_insert_with(|| RunPart { journal: Journal::new(), record: None });
                match name {
                    EVENTS => {
                        part.journal.from = from;
                        part.journal.read(&mut bytes)?;
                    }
                    RECORD => part.record = Some(record(&text(&mut bytes)?)),
                    _ => {}
                }
            }
            ArchiveEntry::Parcel(digest, name) => {
                let part = self.parcels.entry(digest).or_default();
                if name == parcel::MANIFEST {
                    part.listing = Some(text(&mut bytes)?);
                } else if name == parcel::DEFINITION {
                    part.definition = text(&mut bytes)?;
                }
            }
            ArchiveEntry::Blob(_) => {}
        }
        io::copy(&mut bytes, &mut io::sink())?;
        Ok(())
    }
}

fn record(text: &[u8]) -> Result<StatedHead, String> {
    let record: RunRecord = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let head = record.journal.map(|head| (head.seq, head.hash));
    Ok(StatedHead { run_id: record.run_id, head })
}

fn text(from: &mut impl Read) -> Result<Vec<u8>, FileError> {
    let mut text = Vec::new();
    from.take(TEXT_LIMIT_BYTES + 1).read_to_end(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > TEXT_LIMIT_BYTES {
        return Err(foreign("a part of it is longer than any that errand writes"));
    }
    Ok(text)
}
