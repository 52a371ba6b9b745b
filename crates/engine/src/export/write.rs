//! Writer of an export.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use errand_agent::parcel::{self, Content, Parcel};
use errand_api::record::{Places, project};
use errand_model::{Digest, RunId};
use errand_store::{BlobError, Stored};
use futures_util::future::BoxFuture;

use super::archive::Archive;
use super::family::{self, Family};
use super::manifest::{EXPORT_SCHEMA, FAMILY_SCHEMA, Kind, Manifest, Member};
use super::options::Wanted;
use super::{BLOBS, BRIEF, EVENTS, LOG, MANIFEST, PARCEL, PARCELS, RECORD, RUNS};
use crate::error::{IoFailure, PayloadRefused};
use crate::{Engine, Error, parcels, wait};

/// Writes a run to a file, atomically: an existing file is replaced only by a complete one.
///
/// # Errors
///
/// [`crate::error::RunLive`] if the run or a descendant is not over and `wanted.live` is not set;
/// [`super::ChildRemoved`] if a descendant was removed; if something cannot be read or verified, or
/// the file cannot be written.
pub async fn write_file(
    engine: &Engine,
    run_id: &RunId,
    wanted: Wanted,
    path: &Path,
) -> Result<(), Error> {
    let unwritten = |source| IoFailure { doing: "write", path: path.to_owned(), source };
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", engine.holder().process.pid));
    let part = PathBuf::from(part);
    let file = File::create_new(&part).map_err(unwritten)?;
    let written = write(engine, run_id, wanted, io::BufWriter::new(&file)).await;
    let result = written.and_then(|()| {
        Ok(file.sync_all().and_then(|()| std::fs::rename(&part, path)).map_err(unwritten)?)
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
    let family = Family::of(engine, run_id, wanted).await?;
    let io =
        |source| IoFailure { doing: "write the archive of", path: run_id.as_str().into(), source };
    let mut archive = Archive::new(to);
    for digest in &family.blobs {
        let (blob, size_bytes) = engine.blobs().open(digest)?;
        let name = format!("{BLOBS}{}", digest.hex());
        let written = archive.stream(&name, Kind::File, blob, size_bytes).map_err(io)?;
        if written != *digest {
            return Err(BlobError::Damaged { digest: digest.clone() }.into());
        }
    }
    let top = again(engine, &family, run_id).await?;
    let part = Part { engine, stored: &top, prefix: "" };
    part.files(&mut archive).await?;
    let own = &top.run.spec.agent.digest;
    packaged(engine, (own, PARCEL), &mut archive)?;
    for digest in family.parcels.iter().filter(|digest| *digest != own) {
        let prefix = format!("{PARCELS}{}/", digest.hex());
        packaged(engine, (digest, &prefix), &mut archive)?;
    }
    part.record(&mut archive)?;
    let mut children = BTreeMap::new();
    for child in family.runs.keys().filter(|child| *child != run_id) {
        let stored = again(engine, &family, child).await?;
        let prefix = format!("{RUNS}{child}/");
        let part = Part { engine, stored: &stored, prefix: &prefix };
        part.files(&mut archive).await?;
        part.record(&mut archive)?;
        children.insert(child.clone(), Member::of(&stored));
    }
    let Member { events, hash, artifacts } = Member::of(&top);
    let manifest = Manifest {
        schema: if children.is_empty() { EXPORT_SCHEMA } else { FAMILY_SCHEMA },
        run_id: run_id.clone(),
        events,
        hash,
        artifacts,
        children,
        entries: std::mem::take(&mut archive.entries),
    };
    archive.bytes(MANIFEST, &pretty(&manifest)?).map_err(io)?;
    Ok(archive.tar.into_inner().and_then(|mut to| to.flush()).map_err(io)?)
}

/// Returns a run of the family: a live one as first loaded, one that is over from the store.
fn again<'a>(
    engine: &'a Engine,
    family: &'a Family,
    run_id: &'a RunId,
) -> BoxFuture<'a, Result<Stored, Error>> {
    Box::pin(async move {
        match family.runs.get(run_id) {
            Some(Some(live)) => Ok((**live).clone()),
            Some(None) | None => Ok(wait::load(engine, run_id).await?),
        }
    })
}

/// A run of an export.
struct Part<'a> {
    engine: &'a Engine,
    stored: &'a Stored,
    /// Prefix of its entry names.
    prefix: &'a str,
}

impl Part<'_> {
    /// Writes all entries but the record, which is sorted behind the parcel.
    async fn files(&self, archive: &mut Archive<impl Write>) -> Result<(), Error> {
        let Self { engine, stored, prefix } = self;
        let io = |source| self.failed(source);
        let log = crate::logs::settled(engine, &stored.run).await?;
        let brief = crate::attempt_paths::scratch(engine, &stored.run).join(BRIEF);
        archive.optional(&format!("{prefix}{BRIEF}"), &brief).map_err(io)?;
        let mut text = String::new();
        family::journal(engine, stored, |event| {
            event.write_json_line(&mut text);
            text.push('\n');
        })
        .await?;
        archive.bytes(&format!("{prefix}{EVENTS}"), text.as_bytes()).map_err(io)?;
        logs(&log, prefix, archive).map_err(io)
    }

    fn record(&self, archive: &mut Archive<impl Write>) -> Result<(), Error> {
        let name = format!("{}{RECORD}", self.prefix);
        archive.bytes(&name, &record(self.stored)?).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        let path = self.stored.run.id.as_str().into();
        IoFailure { doing: "write the archive of", path, source }.into()
    }
}

/// Returns the record as the journal alone gives it, without facts of this machine.
fn record(stored: &Stored) -> Result<Vec<u8>, Error> {
    let places = Places { log_path: LOG.to_owned(), session_file: None, supervisor: None };
    pretty(&project(&stored.run, stored.head, places))
}

fn pretty(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| PayloadRefused { reason: format!("it cannot be JSON: {error}") })?;
    text.push(b'\n');
    Ok(text)
}

/// Adds the log and its older segments, sorted by the bytes of their names.
fn logs(log: &Path, prefix: &str, archive: &mut Archive<impl Write>) -> io::Result<()> {
    let mut segments = BTreeMap::from([(LOG.to_owned(), log.to_owned())]);
    for (age, path) in errand_agent::log::older(log) {
        segments.insert(format!("{LOG}.{age}"), path);
    }
    let mut segments = segments.iter();
    segments.try_for_each(|(name, path)| archive.optional(&format!("{prefix}{name}"), path))
}

/// Adds a parcel below `prefix`.
fn packaged(
    engine: &Engine,
    (digest, prefix): (&Digest, &str),
    archive: &mut Archive<impl Write>,
) -> Result<(), Error> {
    let parcel = parcels::open(engine, digest)?;
    Ok(files_of(&parcel, prefix, archive).map_err(IoFailure::of("pack", &parcel.path))?)
}

fn files_of(parcel: &Parcel, prefix: &str, archive: &mut Archive<impl Write>) -> io::Result<()> {
    let definition = parcel.path.join(parcel::DEFINITION);
    archive.optional(&format!("{prefix}{}", parcel::DEFINITION), &definition)?;
    let files = parcel.files_path();
    for file in &parcel.files {
        let name = format!("{prefix}{}/{}", parcel::FILES, file.path);
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
    archive.optional(&format!("{prefix}{}", parcel::MANIFEST), &manifest)
}
