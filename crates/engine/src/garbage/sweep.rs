//! Removal of blobs, parcels and logs that nothing names.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use errand_agent::parcel::{self, Listing};
use errand_api::agent_file::Agent;
use errand_model::{Digest, Timestamp};
use errand_store::{KeptBlob, SharedBlobs};
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::Error;
use super::names::{NamesOutsideJournals, Released, needed_parcels};
use super::{GRACE, SHORTEST_GRACE};
use crate::Engine;
use crate::garbage::RegistryInUse;

/// Shared blobs listed and removed at once.
const SHARED_AT_ONCE: u32 = 500;
/// Time after which the clock, read in milliseconds, is past the time of a file written before.
const CLOCK_STEP: Duration = Duration::from_millis(2);
/// Longest time that an upload may take to be unpacked.
const UPLOAD_TAKES: Duration = Duration::from_hours(24);

/// Amounts removed, or that would be removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// Blobs, in the registry and in the database.
    pub blobs: u64,
    /// Parcels in the registry.
    pub parcels: u64,
    /// Bytes of all of it, logs of removed runs and unfinished files included.
    pub bytes: u64,
    /// Bytes of unnamed blobs and parcels within the grace period.
    pub young_bytes: u64,
}

impl Freed {
    /// Adds the amounts of a later pass.
    pub fn add(&mut self, later: Self) {
        self.blobs += later.blobs;
        self.parcels += later.parcels;
        self.bytes += later.bytes;
        self.young_bytes = later.young_bytes;
    }
}

/// Blobs and parcels that a pass considers.
enum Scope {
    All,
    /// Only these, and what belongs to them.
    Only(BTreeSet<Digest>),
}

impl Scope {
    fn has(&self, digest: &Digest) -> bool {
        match self {
            Self::All => true,
            Self::Only(digests) => digests.contains(digest),
        }
    }
}

/// Action on unnamed blobs and parcels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Remove,
    Tell,
}

/// Removes all that nothing names and that was neither put, built nor renewed for `grace`.
///
/// # Errors
///
/// [`super::RegistryInUse`] if `grace` is shorter than [`SHORTEST_GRACE`] and another process uses
/// the registry, or may; if the registry or a file cannot be read or removed.
pub async fn collect(engine: &Engine, grace: Duration) -> Result<Freed, Error> {
    if grace >= SHORTEST_GRACE || engine.is_of_fleet() {
        return sweep(engine, Scope::All, grace, Act::Remove).await;
    }
    let Some(_alone) = engine.alone() else {
        return Err(RegistryInUse { root: engine.registry().root().to_owned() }.into());
    };
    sweep(engine, Scope::All, grace, Act::Remove).await
}

/// Removes blobs and parcels that removed runs named, unless they are named elsewhere. Removes
/// nothing while another process uses the registry, or may: [`collect`] does it later.
///
/// # Errors
///
/// As [`collect`].
pub async fn free(engine: &Engine, released: Released) -> Result<Freed, Error> {
    if released.digests.is_empty() || engine.is_of_fleet() {
        return Ok(Freed::default());
    }
    let Some(_alone) = engine.alone() else { return Ok(Freed::default()) };
    // The removal renewed them: without the wait, they could count as renewed after the sweep began.
    if let Some(renewed_at) = released.renewed_at {
        tokio::time::sleep_until(renewed_at + CLOCK_STEP).await;
    }
    let mut digests = released.digests;
    // The agents packed with an agent are released with it.
    digests.extend(needed_parcels(engine, digests.iter().cloned().collect()));
    sweep(engine, Scope::Only(digests), Duration::ZERO, Act::Remove).await
}

/// Returns the amounts that [`collect`] would remove.
///
/// # Errors
///
/// As [`collect`].
pub async fn unnamed(engine: &Engine, grace: Duration) -> Result<Freed, Error> {
    sweep(engine, Scope::All, grace, Act::Tell).await
}

fn sweep(
    engine: &Engine,
    scope: Scope,
    grace: Duration,
    act: Act,
) -> BoxFuture<'_, Result<Freed, Error>> {
    Box::pin(async move {
        if grace < SHORTEST_GRACE {
            engine.renewal().forget();
        }
        // Read before the names: a name that comes later was renewed later.
        let now = engine.now();
        let before = moment(now).checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut freed = Freed::default();
        if !is_anything_here(engine, &scope)? {
            return Ok(freed);
        }
        let elsewhere = NamesOutsideJournals::of(engine).await?;
        let sweep = Sweep { engine, scope, before, grace, act, elsewhere };
        sweep.parcels(&mut freed).await?;
        sweep.blobs(&mut freed).await?;
        if matches!(sweep.scope, Scope::All) {
            if let Some(shared) = engine.store().shared_blobs() {
                sweep.shared(shared.as_ref(), &mut freed).await?;
            }
            if act == Act::Remove {
                sweep.rests(now, &mut freed)?;
            }
        }
        Ok(freed)
    })
}

/// Returns true if any of the digests is in the registry: most runs name only a parcel that others
/// name too.
fn is_anything_here(engine: &Engine, scope: &Scope) -> Result<bool, Error> {
    let Scope::Only(digests) = scope else { return Ok(true) };
    let parcels = engine.registry().parcels();
    let blobs = engine.blobs();
    let is_here =
        |digest: &Digest| blobs.path(digest).exists() || parcels.join(digest.hex()).exists();
    Ok(digests.iter().any(is_here))
}

/// A sweep of the registry.
struct Sweep<'a> {
    engine: &'a Engine,
    scope: Scope,
    /// Blobs and parcels renewed since then stay.
    before: SystemTime,
    grace: Duration,
    act: Act,
    elsewhere: NamesOutsideJournals,
}

impl Sweep<'_> {
    async fn parcels(&self, freed: &mut Freed) -> Result<(), Error> {
        let root = self.engine.registry().parcels();
        let kept = parcel::kept(&root)?;
        if !kept.iter().any(|parcel| self.scope.has(&parcel.digest)) {
            return Ok(());
        }
        let digests: Vec<Digest> = kept.iter().map(|parcel| parcel.digest.clone()).collect();
        let unnamed = self.elsewhere.unnamed(self.engine, digests).await?;
        let young = |parcel: &&parcel::KeptParcel| parcel.touched_at >= self.before;
        let is_root =
            |parcel: &&parcel::KeptParcel| !unnamed.contains(&parcel.digest) || young(parcel);
        let roots = kept.iter().filter(is_root).map(|parcel| parcel.digest.clone()).collect();
        let needed = needed_parcels(self.engine, roots);
        for parcel in kept.iter().filter(|parcel| unnamed.contains(&parcel.digest)) {
            if young(&parcel) {
                freed.young_bytes += parcel::size(&root, &parcel.digest);
            }
        }
        let unneeded: BTreeSet<Digest> = unnamed
            .into_iter()
            .filter(|digest| !needed.contains(digest) && self.scope.has(digest))
            .collect();
        let (count, bytes) = match self.act {
            Act::Remove => parcel::sweep(&root, &unneeded, self.before)?,
            Act::Tell => (
                u64::try_from(unneeded.len()).unwrap_or(u64::MAX),
                unneeded.iter().map(|digest| parcel::size(&root, digest)).sum(),
            ),
        };
        freed.parcels += count;
        freed.bytes += bytes;
        Ok(())
    }

    async fn blobs(&self, freed: &mut Freed) -> Result<(), Error> {
        let blobs = self.engine.blobs();
        for shard in self.shards() {
            let mut kept = blobs.in_shard(&shard)?;
            kept.retain(|blob| self.scope.has(&blob.digest));
            let digests = kept.iter().map(|blob| blob.digest.clone()).collect();
            let mut unnamed = self.elsewhere.unnamed(self.engine, digests).await?;
            kept.retain(|blob| unnamed.contains(&blob.digest));
            let (young, old): (Vec<KeptBlob>, Vec<KeptBlob>) =
                kept.into_iter().partition(|blob| blob.touched_at >= self.before);
            freed.young_bytes += young.iter().map(|blob| blob.size_bytes).sum::<u64>();
            for blob in &young {
                unnamed.remove(&blob.digest);
            }
            let (count, bytes) = match self.act {
                Act::Remove => blobs.sweep(&unnamed, self.before)?,
                Act::Tell => (
                    u64::try_from(old.len()).unwrap_or(u64::MAX),
                    old.iter().map(|blob| blob.size_bytes).sum(),
                ),
            };
            // A local copy of a shared blob is counted by the shared pass.
            freed.blobs += if blobs.is_shared() { 0 } else { count };
            freed.bytes += bytes;
        }
        Ok(())
    }

    /// Returns the blob folders to be scanned.
    fn shards(&self) -> BTreeSet<String> {
        match &self.scope {
            Scope::All => (0..=u8::MAX).map(|shard| format!("{shard:02x}")).collect(),
            Scope::Only(digests) => digests
                .iter()
                .filter_map(|digest| digest.hex().get(..2).map(str::to_owned))
                .collect(),
        }
    }

    /// Sweeps the blobs outside of the registry's folder.
    async fn shared(&self, shared: &dyn SharedBlobs, freed: &mut Freed) -> Result<(), Error> {
        let is_of_fleet = self.engine.is_of_fleet();
        let needed = if is_of_fleet { self.needed_shared(shared).await? } else { BTreeSet::new() };
        // A place remembers the renewals of a few minutes, also if this process is alone.
        let grace = if is_of_fleet { self.grace } else { self.grace.max(SHORTEST_GRACE) };
        let mut after = None;
        loop {
            let page = shared.list(after.as_ref(), SHARED_AT_ONCE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.digest.clone());
            let digests = page.iter().map(|blob| blob.digest.clone());
            let digests = digests.filter(|digest| !needed.contains(digest)).collect();
            let mut unnamed = self.elsewhere.unnamed(self.engine, digests).await?;
            for blob in page.iter().filter(|blob| blob.untouched_for < grace) {
                if unnamed.remove(&blob.digest) {
                    freed.young_bytes += blob.size_bytes;
                }
            }
            let (count, bytes) = match self.act {
                Act::Remove => shared.remove(&unnamed, grace)?,
                Act::Tell => {
                    let told = page.iter().filter(|blob| unnamed.contains(&blob.digest));
                    told.fold((0, 0), |(count, bytes), blob| (count + 1, bytes + blob.size_bytes))
                }
            };
            freed.blobs += count;
            freed.bytes += bytes;
        }
    }

    /// Returns the blobs that named parcels consist of, as they are shared. The parts of a parcel
    /// that nothing names yet were put or renewed with it.
    async fn needed_shared(&self, shared: &dyn SharedBlobs) -> Result<BTreeSet<Digest>, Error> {
        let mut waiting: Vec<Digest> =
            self.engine.store().named_parcels().await?.into_iter().collect();
        waiting.extend(self.elsewhere.iter().cloned());
        let (mut seen, mut needed) = (BTreeSet::new(), BTreeSet::new());
        while let Some(digest) = waiting.pop() {
            if !seen.insert(digest.clone()) {
                continue;
            }
            // A blob that is no parcel manifest has no parts.
            let Some(listing) =
                read(shared, &digest)?.and_then(|manifest| Listing::read(manifest, &digest).ok())
            else {
                continue;
            };
            needed.insert(digest);
            needed.extend(listing.files.iter().filter_map(|file| match &file.content {
                parcel::Content::File { digest, .. } => Some(digest.clone()),
                parcel::Content::Link { .. } => None,
            }));
            if let Some(definition) = read(shared, &listing.definition)?
                && let Ok(agent) = serde_json::from_slice::<Agent>(&definition)
            {
                waiting.extend(agent.named_agents().filter_map(|member| member.digest.clone()));
            }
            needed.insert(listing.definition);
        }
        Ok(needed)
    }

    /// Removes unfinished files of writers that died, and logs that arrived after their runs were
    /// removed.
    fn rests(&self, now: Timestamp, freed: &mut Freed) -> Result<(), Error> {
        freed.bytes += self.engine.blobs().sweep_unfinished(self.before.min(grace_ago(now)))?;
        let uploads = moment(now).checked_sub(UPLOAD_TAKES).unwrap_or(SystemTime::UNIX_EPOCH);
        freed.bytes += parcel::sweep_uploads(&self.engine.registry().parcels(), uploads)?;
        if let Some(logs) = self.engine.store().shared_logs() {
            let grace = i64::try_from(self.grace.max(GRACE).as_millis()).unwrap_or(i64::MAX);
            let before = Timestamp::from_millis(now.as_millis().saturating_sub(grace));
            freed.bytes += logs.remove_orphans(before)?;
        }
        Ok(())
    }
}

/// Longest manifest or definition that is read to list the parts of a parcel.
const MANIFEST_BYTES: usize = 64 * 1024 * 1024;

fn read(shared: &dyn SharedBlobs, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
    let mut bytes = Bounded(Vec::new());
    let found = shared.get(digest, &mut bytes);
    // A longer one is no manifest.
    if bytes.0.len() > MANIFEST_BYTES {
        return Ok(None);
    }
    Ok(found?.then_some(bytes.0))
}

/// A buffer that refuses more bytes than any manifest has.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        if self.0.len() > MANIFEST_BYTES {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn grace_ago(now: Timestamp) -> SystemTime {
    moment(now).checked_sub(GRACE).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn moment(at: Timestamp) -> SystemTime {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
