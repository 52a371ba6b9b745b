//! Names of blobs and parcels outside the journals of the registry: documents, sessions, requests,
//! inventories, terminal snapshots not yet applied, and journals that the registry does not know.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use errand_agent::parcel;
use errand_model::{Digest, RunId};
use errand_store::{Filter, Page, digests_in, files};
use tokio::time::Instant;

use super::Error;
use crate::Engine;
use crate::error::IoFailure;

/// Runs whose names are indexed at once.
const INDEXED_AT_ONCE: u32 = 100;
/// Runs listed at once.
const PAGE: u32 = 1_000;
/// Digests looked up at once.
const LOOKED_UP_AT_ONCE: usize = 500;
/// Bytes read at once of a line of a journal that the registry does not know.
const PIECE_BYTES: u64 = 1024 * 1024;
/// Longest unknown journal that is read. Nothing is removed while there is a longer one.
const UNKNOWN_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Digests that removed runs named.
#[derive(Debug, Default)]
pub struct Released {
    pub(super) digests: BTreeSet<Digest>,
    /// Time of the last renewal of one of them by [`Released::note`].
    pub(super) renewed_at: Option<Instant>,
}

impl Released {
    /// Takes in the digests that a run names which is about to be removed, and renews them: a
    /// reader that got a name from that run a moment ago has the whole grace period to commit it
    /// elsewhere.
    pub(crate) async fn note(&mut self, engine: &Engine, run_id: &RunId) -> Result<(), Error> {
        let names = engine.store().names_of_run(run_id).await?;
        let names = names.into_iter().map(|name| name.digest).collect();
        engine.renewal().renew(&names);
        self.digests.extend(names);
        self.renewed_at = Some(Instant::now());
        Ok(())
    }

    /// Takes in the digests of `others`.
    pub fn extend(&mut self, others: Self) {
        self.digests.extend(others.digests);
        self.renewed_at = self.renewed_at.max(others.renewed_at);
    }
}

/// Names outside the registry's journals, at one moment.
#[derive(Debug)]
pub(super) struct NamesOutsideJournals(BTreeSet<Digest>);

impl NamesOutsideJournals {
    /// Collects the names. The journals must be queried after this, so that a name that moves from
    /// a document into a journal meanwhile is found in one of them.
    pub(super) async fn of(engine: &Engine) -> Result<Self, Error> {
        while engine.store().index_names(INDEXED_AT_ONCE).await? > 0 {}
        let mut found = engine.store().named_elsewhere().await?;
        of_snapshots(engine, &mut found).await?;
        if engine.store().shared_logs().is_none() {
            of_unknown_runs(engine, &mut found).await?;
        }
        Ok(Self(found))
    }

    /// Returns those of `digests` that nothing names, in journals or elsewhere.
    pub(super) async fn unnamed(
        &self,
        engine: &Engine,
        mut digests: Vec<Digest>,
    ) -> Result<BTreeSet<Digest>, Error> {
        digests.retain(|digest| !self.0.contains(digest));
        let mut unnamed: BTreeSet<Digest> = digests.iter().cloned().collect();
        for some in digests.chunks(LOOKED_UP_AT_ONCE) {
            for named in engine.store().named(some).await? {
                unnamed.remove(&named);
            }
        }
        Ok(unnamed)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Digest> {
        self.0.iter()
    }
}

/// Adds names in terminal snapshots of live runs, which the next reader of the run commits.
async fn of_snapshots(engine: &Engine, found: &mut BTreeSet<Digest>) -> Result<(), Error> {
    let filter = Filter { live: true, ..Filter::default() };
    let mut page = Page { after: None, limit: PAGE };
    loop {
        let (runs, _) = engine.store().list(&filter, &page).await?;
        let Some(last) = runs.last() else { return Ok(()) };
        page.after = Some(last.run.id.clone());
        for stored in &runs {
            of_file(engine, &engine.registry().run_final(&stored.run.id), found)?;
        }
    }
}

/// Adds names in journals of runs that the registry lacks: their restore failed, or the registry is
/// an older copy.
async fn of_unknown_runs(engine: &Engine, found: &mut BTreeSet<Digest>) -> Result<(), Error> {
    let folder = engine.registry().runs();
    let unread = |source| IoFailure { doing: "read", path: folder.clone(), source };
    let mut unknown = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).map_err(unread)? {
        let name = entry.map_err(unread)?.file_name();
        let id = name.to_str().and_then(|name| name.split_once(".events.jsonl"));
        unknown.extend(id.and_then(|(id, _)| id.parse::<RunId>().ok()));
    }
    let mut after: Option<RunId> = None;
    loop {
        let ids = engine.store().run_ids(after.as_ref(), PAGE).await?;
        let Some(last) = ids.last() else { break };
        after = Some(last.clone());
        for run_id in &ids {
            unknown.remove(run_id);
        }
    }
    for run_id in unknown {
        let registry = engine.registry();
        for path in [registry.run_events(&run_id), registry.run_events_damaged(&run_id)] {
            of_file(engine, &path, found)?;
        }
        of_file(engine, &registry.run_final(&run_id), found)?;
    }
    Ok(())
}

/// Adds all digests in the text of a file.
fn of_file(engine: &Engine, path: &Path, found: &mut BTreeSet<Digest>) -> Result<(), Error> {
    let opened = files::open(engine.registry(), path).map_err(errand_store::Error::from)?;
    let Some((file, size_bytes)) = opened else { return Ok(()) };
    if size_bytes > UNKNOWN_BYTES {
        let limit_bytes = UNKNOWN_BYTES;
        let path = path.to_path_buf();
        let error = errand_store::RegistryError::TooLong { path, size_bytes, limit_bytes };
        return Err(errand_store::Error::from(error).into());
    }
    let failed = |source| IoFailure { doing: "read", path: path.to_path_buf(), source };
    Ok(pieces(file, |text| found.extend(digests_in(text))).map_err(failed)?)
}

/// Passes a text to `take` in pieces that overlap by more than the length of a digest.
fn pieces(file: File, mut take: impl FnMut(&str)) -> std::io::Result<()> {
    const OVERLAP_BYTES: usize = 128;
    let mut from = BufReader::new(file);
    let mut piece = Vec::new();
    loop {
        let read = from.by_ref().take(PIECE_BYTES).read_until(b'\n', &mut piece)?;
        if read == 0 {
            return Ok(());
        }
        take(&String::from_utf8_lossy(&piece));
        let overlap = piece.len().saturating_sub(OVERLAP_BYTES);
        piece.drain(..overlap);
    }
}

/// Returns the parcels in the registry that are needed: those in `waiting`, and those that a needed
/// parcel names.
pub(super) fn needed_parcels(engine: &Engine, mut waiting: Vec<Digest>) -> BTreeSet<Digest> {
    let mut needed = BTreeSet::new();
    while let Some(digest) = waiting.pop() {
        if !needed.insert(digest.clone()) {
            continue;
        }
        // A parcel that cannot be read names nothing, and is needed if it is named itself.
        if let Ok(parcel) = parcel::open(&engine.registry().parcels(), &digest) {
            let members = parcel.agent.named_agents();
            waiting.extend(members.filter_map(|member| member.digest.clone()));
        }
    }
    needed
}
