//! Checks of an export as a whole: its entries against its journals, its manifest and the digests
//! of its parcels.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use errand_agent::parcel::{self, Content, Listing};
use errand_model::{Digest, RunId};
use serde_json::Value;

use super::fault::{damaged, foreign};
use super::journal::Journal;
use super::manifest::{EXPORT_SCHEMA, Entry, FAMILY_SCHEMA, Kind, Manifest};
use super::read::{self, ExportReader, ParcelPart, RunPart, StatedHead};
use super::{BLOBS, EVENTS, FileError, PARCEL, PARCELS, RUNS};
use crate::evidence::{EvidencePlace, EvidenceProblem, Finding};

/// Content of an export that was read and checked.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) manifest: Manifest,
    /// By id, the top one included.
    pub(super) runs: BTreeMap<RunId, Journal>,
    /// By digest, each with its definition.
    pub(super) parcels: BTreeMap<Digest, (Listing, Vec<u8>)>,
}

/// Reads an export from beginning to end, and checks it. The first problem found is the error.
pub(super) fn read(file: &File) -> Result<Contents, FileError> {
    finish(read::walk(file)?)
}

/// Checks everything that was read. The first problem found is the error.
fn finish(mut walk: ExportReader) -> Result<Contents, FileError> {
    let text = walk.manifest.as_ref().ok_or_else(|| foreign("it has no manifest.json"))?;
    let manifest = manifest(text)?;
    let mut runs = BTreeMap::new();
    for run_id in std::iter::once(&manifest.run_id).chain(manifest.children.keys()) {
        let key = (*run_id != manifest.run_id).then(|| run_id.clone());
        let part = walk.runs.remove(&key);
        runs.insert(
            run_id.clone(),
            part.ok_or_else(|| damaged(format!("run {run_id} is missing")))?,
        );
    }
    if let Some((Some(run_id), _)) = walk.runs.pop_first() {
        return Err(damaged(format!("run {run_id} was added")));
    }
    let check = Check { found: &walk.found, manifest: &manifest, runs: &runs };
    check.journals()?;
    check.blobs()?;
    check.entries()?;
    check.family()?;
    check.records()?;
    let parcels = check.parcels(walk.parcels)?;
    let runs = runs.into_iter().map(|(run_id, part)| (run_id, part.journal)).collect();
    Ok(Contents { manifest, runs, parcels })
}

fn manifest(text: &[u8]) -> Result<Manifest, FileError> {
    let value: Value = serde_json::from_slice(text).map_err(foreign)?;
    let schema = match value.get("schema").and_then(Value::as_u64) {
        Some(schema) if schema == u64::from(EXPORT_SCHEMA) => EXPORT_SCHEMA,
        Some(schema) if schema == u64::from(FAMILY_SCHEMA) => FAMILY_SCHEMA,
        Some(schema) => {
            let what = format!("its schema is {schema}, this program knows {FAMILY_SCHEMA}");
            return Err(FileError::Newer { what });
        }
        None => return Err(foreign("manifest.json has no schema")),
    };
    let manifest: Manifest = serde_json::from_value(value).map_err(foreign)?;
    if manifest.children.is_empty() == (schema == FAMILY_SCHEMA)
        || manifest.children.contains_key(&manifest.run_id)
    {
        return Err(foreign("manifest.json has not the runs of its schema"));
    }
    Ok(manifest)
}

struct Check<'a> {
    found: &'a BTreeMap<String, Entry>,
    manifest: &'a Manifest,
    runs: &'a BTreeMap<RunId, RunPart>,
}

impl Check<'_> {
    /// Returns the prefix of a run's entry names.
    fn prefix(&self, run_id: &RunId) -> String {
        if *run_id == self.manifest.run_id { String::new() } else { format!("{RUNS}{run_id}/") }
    }

    /// Returns the event count, last hash and artifacts that the manifest states for a run.
    fn said(&self, run_id: &RunId) -> (u64, &str, &BTreeMap<String, Digest>) {
        let manifest = self.manifest;
        match manifest.children.get(run_id) {
            Some(member) => (member.events, &member.hash, &member.artifacts),
            None => (manifest.events, &manifest.hash, &manifest.artifacts),
        }
    }

    fn journals(&self) -> Result<(), FileError> {
        for (run_id, part) in self.runs {
            let entry = format!("{}{EVENTS}", self.prefix(run_id));
            if self.found.contains_key(&entry) {
                let (events, hash, _) = self.said(run_id);
                part.journal.check((run_id, events, hash), entry)?;
            }
        }
        Ok(())
    }

    fn blobs(&self) -> Result<(), FileError> {
        let mut named = BTreeSet::new();
        for (run_id, part) in self.runs {
            for (digest, seq) in &part.journal.blobs {
                self.blob(run_id, (digest, *seq))?;
                named.insert(digest.hex());
            }
        }
        let added = self
            .found
            .keys()
            .find(|name| name.strip_prefix(BLOBS).is_some_and(|hex| !named.contains(hex)));
        match added {
            Some(name) => Err(damaged(format!("{name} was added: no event names it"))),
            None => Ok(()),
        }
    }

    fn blob(&self, run_id: &RunId, (digest, seq): (&Digest, u64)) -> Result<(), FileError> {
        let name = format!("{BLOBS}{}", digest.hex());
        let problem = match self.found.get(&name) {
            None => EvidenceProblem::BlobMissing { seq, digest: digest.clone() },
            Some(found) if found.digest != *digest => {
                EvidenceProblem::BlobChanged { seq, digest: digest.clone() }
            }
            Some(_) => return Ok(()),
        };
        let finding = Box::new(Finding { place: EvidencePlace::Export(name), problem });
        Err(FileError::Tampered { run_id: run_id.clone(), finding })
    }

    fn entries(&self) -> Result<(), FileError> {
        for (name, entry) in &self.manifest.entries {
            match self.found.get(name) {
                None => return Err(damaged(format!("{name} is missing"))),
                Some(found) if found != entry => {
                    return Err(damaged(format!("{name} was changed")));
                }
                Some(_) => {}
            }
        }
        let is_added = |name: &&String| !self.manifest.entries.contains_key(*name);
        match self.found.keys().find(is_added) {
            Some(name) => Err(damaged(format!("{name} was added"))),
            None => Ok(()),
        }
    }

    /// Compares the runs with those that journals name: one at the top, and all its descendants.
    fn family(&self) -> Result<(), FileError> {
        if self.manifest.children.is_empty() {
            return Ok(());
        }
        let mut waiting = vec![&self.manifest.run_id];
        let mut known = BTreeSet::new();
        while let Some(run_id) = waiting.pop() {
            let Some(part) = self.runs.get(run_id) else {
                return Err(damaged(format!("run {run_id}, which is a step, is missing")));
            };
            if !known.insert(run_id) {
                continue;
            }
            for child in &part.journal.children {
                let parent = self.runs.get(child).map(|part| part.journal.parent.as_ref());
                if parent.is_some_and(|parent| parent != Some(run_id)) {
                    return Err(damaged(format!("run {child} is no step of run {run_id}")));
                }
                waiting.push(child);
            }
        }
        match self.runs.keys().find(|run_id| !known.contains(run_id)) {
            Some(run_id) => Err(damaged(format!("run {run_id} was added: it is a step of none"))),
            None => Ok(()),
        }
    }

    fn records(&self) -> Result<(), FileError> {
        for (run_id, part) in self.runs {
            let prefix = self.prefix(run_id);
            let (events, hash, artifacts) = self.said(run_id);
            if part.journal.artifacts != *artifacts {
                return Err(damaged(format!("the list of artifacts of run {run_id} was changed")));
            }
            match &part.record {
                None => return Err(damaged(format!("{prefix}record.json is missing"))),
                Some(Err(error)) => {
                    return Err(damaged(format!("{prefix}record.json cannot be read: {error}")));
                }
                Some(Ok(StatedHead { run_id: of, head: Some((seq, of_hash)) }))
                    if of == run_id && (*seq, of_hash.as_str()) == (events, hash) => {}
                Some(Ok(_)) => {
                    return Err(damaged(format!("{prefix}record.json is not that of the journal")));
                }
            }
        }
        Ok(())
    }

    /// Checks every parcel: those of all agents that ran are present, and each is named by a run or
    /// by another parcel.
    fn parcels(
        &self,
        parts: BTreeMap<Option<Digest>, ParcelPart>,
    ) -> Result<BTreeMap<Digest, (Listing, Vec<u8>)>, FileError> {
        let of = |journal: &Journal| {
            journal.parcel.clone().ok_or_else(|| damaged("the parcel is missing"))
        };
        let own = self.runs.get(&self.manifest.run_id).map(|part| of(&part.journal));
        let own = own.ok_or_else(|| damaged("the parcel is missing"))??;
        let mut parcels = BTreeMap::new();
        for (digest, part) in parts {
            let prefix = match &digest {
                Some(digest) => format!("{PARCELS}{}/", digest.hex()),
                None => PARCEL.to_owned(),
            };
            let digest = digest.unwrap_or_else(|| own.clone());
            let listing = self.parcel((&digest, &prefix), &part)?;
            if parcels.insert(digest, (listing, part.definition)).is_some() {
                return Err(damaged("a parcel is there twice"));
            }
        }
        let mut named = Vec::new();
        for part in self.runs.values() {
            let digest = of(&part.journal)?;
            if !parcels.contains_key(&digest) {
                return Err(damaged(format!("the parcel {digest} is missing")));
            }
            named.push(digest);
            named.extend(part.journal.plan.iter().cloned());
        }
        let mut known = BTreeSet::new();
        while let Some(digest) = named.pop() {
            if let Some((_, definition)) = parcels.get(&digest)
                && known.insert(digest)
            {
                named.extend(members(definition));
            }
        }
        match parcels.keys().find(|digest| !known.contains(*digest)) {
            Some(digest) => Err(damaged(format!("the parcel {digest} was added"))),
            None => Ok(parcels),
        }
    }

    fn parcel(
        &self,
        (digest, prefix): (&Digest, &str),
        part: &ParcelPart,
    ) -> Result<Listing, FileError> {
        let broken = |error: parcel::Error| damaged(error.to_string());
        let text = part.listing.as_ref().ok_or_else(|| damaged("the parcel is missing"))?;
        let listing = Listing::read(text.clone(), digest).map_err(broken)?;
        if Digest::of(&part.definition) != listing.definition {
            return Err(damaged("the parcel's definition was changed"));
        }
        let files = format!("{prefix}{}/", parcel::FILES);
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
        Ok(listing)
    }
}

/// Returns the digests of the agents packed with a coordinator, from its definition.
fn members(definition: &[u8]) -> Vec<Digest> {
    let definition: Option<Value> = serde_json::from_slice(definition).ok();
    let agents = definition.as_ref().and_then(|it| it.pointer("/coordinator/agents")?.as_object());
    let digest = |agent: &Value| agent.get("digest")?.as_str()?.parse().ok();
    agents.into_iter().flatten().filter_map(|(_, agent)| digest(agent)).collect()
}
