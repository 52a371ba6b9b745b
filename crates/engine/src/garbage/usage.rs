//! Disk usage of a registry by kind, run and agent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use errand_agent::parcel;
use errand_model::{Digest, RunId};
use errand_store::{Filter, Page};
use serde::Serialize;

use super::Error;
use super::names::NamesOutsideJournals;
use super::sweep::{Freed, unnamed};
use crate::Engine;
use crate::error::IoFailure;

/// Shared blobs listed at once.
const SHARED_AT_ONCE: u32 = 1_000;
/// Runs examined one by one, the newest, which most often take the most space.
const RUNS: usize = 20_000;
/// Runs listed at once.
const PAGE: u32 = 500;

/// Disk usage of a registry, in bytes of content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SpaceUsage {
    /// Version of this document.
    pub schema: u32,
    /// Bytes of all kinds together.
    pub bytes: u64,
    /// Usage by kind, the largest first.
    pub kinds: Vec<StorageKind>,
    /// Usage by run, the largest first: journal, log, record, workspace, and the blobs that it
    /// names. A blob that several runs name is counted for each.
    pub runs: Vec<Owner>,
    /// Usage summed by agent, the largest first.
    pub agents: Vec<AgentSpace>,
    /// Amounts that `errand registry gc` would free now.
    pub garbage: Freed,
}

/// Usage of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StorageKind {
    /// `journals`, `logs`, `records`, `workspaces`, `blobs_of_runs`, `blobs_elsewhere`,
    /// `blobs_unnamed`, `blob_copies`, `parcels`, `state`, `database`, `shared_blobs`,
    /// `shared_logs`, `other`.
    pub kind: &'static str,
    /// Bytes of this kind.
    pub bytes: u64,
}

/// Usage of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// Id of the run.
    pub run_id: RunId,
    /// Name of its agent.
    pub agent: String,
    /// Bytes of the run.
    pub bytes: u64,
}

/// Usage of one agent's runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentSpace {
    /// Name of the agent.
    pub agent: String,
    /// Number of its runs.
    pub runs: u64,
    /// Bytes of its runs.
    pub bytes: u64,
}

/// Version of [`SpaceUsage`].
const SCHEMA: u32 = 1;

/// Returns the usage, with the `top` largest runs and agents.
///
/// # Errors
///
/// If the registry or a folder of it cannot be read.
pub async fn usage(engine: &Engine, top: usize) -> Result<SpaceUsage, Error> {
    let mut kinds = Kinds::default();
    let mut own: BTreeMap<RunId, u64> = BTreeMap::new();
    run_files(engine, &mut kinds, &mut own)?;
    let sizes = blobs(engine, &mut kinds).await?;
    folders(engine, &mut kinds)?;
    let (mut runs, mut agents) = (Vec::new(), BTreeMap::new());
    owners(engine, &own, &sizes, (&mut runs, &mut agents)).await?;
    runs.sort_by_key(|owner| std::cmp::Reverse(owner.bytes));
    runs.truncate(top);
    let mut agents: Vec<AgentSpace> = agents.into_values().collect();
    agents.sort_by_key(|usage| std::cmp::Reverse(usage.bytes));
    agents.truncate(top);
    let mut kinds: Vec<StorageKind> =
        kinds.0.into_iter().map(|(kind, bytes)| StorageKind { kind, bytes }).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.bytes));
    let bytes = kinds.iter().map(|kind| kind.bytes).sum();
    let garbage = unnamed(engine, super::GRACE).await?;
    Ok(SpaceUsage { schema: SCHEMA, bytes, kinds, runs, agents, garbage })
}

/// Bytes by kind.
#[derive(Default)]
struct Kinds(BTreeMap<&'static str, u64>);

impl Kinds {
    fn add(&mut self, kind: &'static str, bytes: u64) {
        *self.0.entry(kind).or_default() += bytes;
    }
}

/// Counts files and workspaces of runs.
fn run_files(
    engine: &Engine,
    kinds: &mut Kinds,
    own: &mut BTreeMap<RunId, u64>,
) -> Result<(), Error> {
    let registry = engine.registry();
    let mut note = |name: &str, kind: &'static str, bytes: u64| {
        kinds.add(kind, bytes);
        let id = name.split('.').next().unwrap_or_default();
        if let Ok(run_id) = id.parse::<RunId>() {
            *own.entry(run_id).or_default() += bytes;
        }
    };
    for (name, bytes) in entries(&registry.runs())? {
        let suffix = name.split_once('.').map_or("", |(_, suffix)| suffix);
        let kind = match suffix {
            "events.jsonl" | "events.jsonl.damaged" => "journals",
            "log" => "logs",
            _ if suffix.starts_with("log.") => "logs",
            "json" | "final.json" | "session.json" => "records",
            _ => "other",
        };
        note(&name, kind, bytes);
    }
    for (name, bytes) in entries(&registry.workspaces())? {
        note(&name, "workspaces", bytes);
    }
    Ok(())
}

/// Counts blobs, local and shared. Returns their sizes.
async fn blobs(engine: &Engine, kinds: &mut Kinds) -> Result<BTreeMap<Digest, u64>, Error> {
    let elsewhere = NamesOutsideJournals::of(engine).await?;
    let named_elsewhere: BTreeSet<&Digest> = elsewhere.iter().collect();
    let blobs = engine.blobs();
    let mut sizes = BTreeMap::new();
    for shard in 0..=u8::MAX {
        let kept = blobs.in_shard(&format!("{shard:02x}"))?;
        let digests = kept.iter().map(|blob| blob.digest.clone()).collect();
        let unnamed = elsewhere.unnamed(engine, digests).await?;
        for blob in kept {
            let kind = if blobs.is_shared() {
                "blob_copies"
            } else if unnamed.contains(&blob.digest) {
                "blobs_unnamed"
            } else if named_elsewhere.contains(&blob.digest) {
                "blobs_elsewhere"
            } else {
                "blobs_of_runs"
            };
            kinds.add(kind, blob.size_bytes);
            sizes.insert(blob.digest, blob.size_bytes);
        }
    }
    if let Some(shared) = engine.store().shared_blobs() {
        let mut after = None;
        loop {
            let page = shared.list(after.as_ref(), SHARED_AT_ONCE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.digest.clone());
            for blob in page {
                kinds.add("shared_blobs", blob.size_bytes);
                sizes.insert(blob.digest, blob.size_bytes);
            }
        }
    }
    if let Some(logs) = engine.store().shared_logs() {
        kinds.add("shared_logs", logs.size_bytes()?);
    }
    Ok(sizes)
}

/// Counts everything else in the registry's folder.
fn folders(engine: &Engine, kinds: &mut Kinds) -> Result<(), Error> {
    let registry = engine.registry();
    let parcels = registry.parcels();
    for parcel in parcel::kept(&parcels)? {
        kinds.add("parcels", parcel::size(&parcels, &parcel.digest));
    }
    for (name, bytes) in entries(registry.root())? {
        let is_database = name.starts_with("registry.db");
        match name.as_str() {
            // Counted one by one above.
            "runs" | "workspaces" | "parcels" | "blobs" | "blobs-shared" => {}
            "state" => kinds.add("state", bytes),
            _ if is_database => kinds.add("database", bytes),
            _ => kinds.add("other", bytes),
        }
    }
    Ok(())
}

/// Sums the usage of runs and of their agents.
async fn owners(
    engine: &Engine,
    own: &BTreeMap<RunId, u64>,
    sizes: &BTreeMap<Digest, u64>,
    (runs, agents): (&mut Vec<Owner>, &mut BTreeMap<String, AgentSpace>),
) -> Result<(), Error> {
    let mut page = Page { after: None, limit: PAGE };
    while runs.len() < RUNS {
        let (listed, _) = engine.store().list(&Filter::default(), &page).await?;
        let Some(last) = listed.last() else { return Ok(()) };
        page.after = Some(last.run.id.clone());
        for stored in listed {
            let (run_id, agent) = (stored.run.id, stored.run.spec.agent.name.clone());
            let mut bytes = own.get(&run_id).copied().unwrap_or_default();
            for name in engine.store().names_of_run(&run_id).await? {
                if !name.is_parcel {
                    bytes += sizes.get(&name.digest).copied().unwrap_or_default();
                }
            }
            let of_agent = agents.entry(agent.clone()).or_insert_with(|| AgentSpace {
                agent: agent.clone(),
                runs: 0,
                bytes: 0,
            });
            of_agent.runs += 1;
            of_agent.bytes += bytes;
            runs.push(Owner { run_id, agent, bytes });
        }
    }
    Ok(())
}

/// Returns the files and folders in a folder, each with the bytes of its whole content.
fn entries(folder: &Path) -> Result<Vec<(String, u64)>, Error> {
    let failed = |source| IoFailure { doing: "read", path: folder.to_path_buf(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source).into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        found.push((entry.file_name().to_string_lossy().into_owned(), size_of(&entry.path())));
    }
    Ok(found)
}

/// Returns the bytes of a file, or of all files below a folder. Links are not followed; a file that
/// is gone or unreadable counts as 0.
fn size_of(path: &Path) -> u64 {
    let mut bytes = 0;
    let mut waiting = vec![path.to_path_buf()];
    while let Some(path) = waiting.pop() {
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
                waiting.extend(entries.map(|entry| entry.path()));
            }
            Ok(metadata) => bytes += metadata.len(),
            Err(_) => {}
        }
    }
    bytes
}
