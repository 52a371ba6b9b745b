//! What every part of the engine works with.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use errand_agent::Clock;
use errand_model::{Digest, RunId, Timestamp};
use errand_store::{Blobs, Holder, Registry, Store};
use rustix::fs::{FlockOperation, flock};
use tokio::time::Instant;

use crate::Error;
use crate::garbage::{RENEWED_FOR, Renewal};
use crate::live::Live;
use crate::metrics::{Metered, Metrics};

/// The folder for copies of shared blobs: what is in it is certainly shared.
const SHARED_COPY: &str = "blobs-shared";

/// The file whose lock tells that a process uses the registry.
const IN_USE: &str = "in-use.lock";

/// Parcels that are remembered to be shared.
const SHARED_PARCELS: usize = 10_000;

/// The largest output of a run where nothing else is configured: large enough for documents, and small
/// enough for whoever reads it to hold it in memory. What is larger is an artifact.
const OUTPUT_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// One registry, and what is needed to run agents on it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    limits: Arc<BTreeMap<String, u32>>,
    output_limit_bytes: u64,
    /// Parcels that are certainly shared with other machines, and since when that is known.
    shared_parcels: Arc<Mutex<BTreeMap<Digest, Instant>>>,
    /// Tells other processes that this one uses the registry, and may be about to name what nothing
    /// names yet; `None`: it cannot be told.
    in_use: Arc<Option<File>>,
    renewal: Arc<Renewal>,
    /// Whether the environment of this process is that of whoever asks for runs.
    records_environment: bool,
}

/// What an [`Engine`] is made of.
#[derive(Debug)]
pub struct Inner {
    /// What is around it.
    pub surroundings: Surroundings,
    /// Where runs are kept.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who this process is, for the leases it holds.
    pub holder: Holder,
}

/// What is around an engine: enough to check a submission before anything is created.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where the registry's files are, or will be.
    pub registry: Registry,
    /// The environment that agents may see, and that secrets are looked up in first.
    pub environment: BTreeMap<OsString, OsString>,
    /// This program, for helpers and for the agents' `PATH`.
    pub program: PathBuf,
    /// The user's secrets identity.
    pub identity: PathBuf,
    /// Where sockets go whose path would be too long below the registry.
    pub runtime_dir: PathBuf,
}

impl Engine {
    /// Puts the parts together. What is told to the store is counted from now on.
    pub fn new(inner: Inner) -> Self {
        let metrics = Arc::new(Metrics::default());
        let registry = &inner.surroundings.registry;
        let in_use = Arc::new(note_use(registry));
        let blobs = blobs_of(registry, inner.store.as_ref());
        let renewal = Arc::new(Renewal::new(blobs, registry.parcels()));
        let store = Metered::new(inner.store, Arc::clone(&metrics), Arc::clone(&renewal));
        let (live, limits, shared_parcels) = (Arc::default(), Arc::default(), Arc::default());
        let inner = Arc::new(Inner { store: Arc::new(store), ..inner });
        let output_limit_bytes = OUTPUT_LIMIT_BYTES;
        let records_environment = false;
        Self {
            inner,
            live,
            metrics,
            limits,
            output_limit_bytes,
            shared_parcels,
            in_use,
            renewal,
            records_environment,
        }
    }

    /// The same for a process that acts for its caller alone, not for a server: the environment that
    /// it has is recorded with the runs that it admits, and all their attempts see it.
    #[must_use]
    pub fn recording_environment(self) -> Self {
        Self { records_environment: true, ..self }
    }

    /// Whether the environment of this process is recorded with runs that it admits.
    pub(crate) const fn records_environment(&self) -> bool {
        self.records_environment
    }

    /// The same, which lets the runs that it carries out have outputs of at most so many bytes.
    #[must_use]
    pub fn with_output_limit(self, output_limit_bytes: u64) -> Self {
        Self { output_limit_bytes, ..self }
    }

    /// Bytes that the output of a run may have, wherever it comes from.
    pub(crate) const fn output_limit_bytes(&self) -> u64 {
        self.output_limit_bytes
    }

    /// The same, which admits runs so that workers carry out no more of a namespace at the same time
    /// than it has here, by its name; what is not named is not limited.
    #[must_use]
    pub fn with_namespace_limits(self, limits: BTreeMap<String, u32>) -> Self {
        Self { limits: Arc::new(limits), ..self }
    }

    /// How many runs of a namespace workers may carry out at the same time; `None`: any number.
    pub(crate) fn namespace_limit(&self, namespace: Option<&str>) -> Option<u32> {
        self.limits.get(namespace.unwrap_or(errand_model::DEFAULT_NAMESPACE)).copied()
    }

    /// What happened in this process.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The registry's files.
    pub fn registry(&self) -> &Registry {
        &self.inner.surroundings.registry
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Who this process is.
    pub fn holder(&self) -> &Holder {
        &self.inner.holder
    }

    /// What agents say at the moment, where this process runs them.
    pub const fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The same with a clock that only runs forward, at its own pace, from what the time is now, or
    /// from `at_least` if that is later.
    pub(crate) fn steadied(&self, at_least: Timestamp) -> Self {
        let Inner { surroundings, store, clock, holder } = self.inner.as_ref();
        let inner = Inner {
            surroundings: surroundings.clone(),
            // It counts already.
            store: Arc::clone(store),
            clock: clock.steadied(at_least),
            holder: holder.clone(),
        };
        Self { inner: Arc::new(inner), ..self.clone() }
    }

    /// The blob store. Where machines share one, the folder here is a copy of a part of it.
    pub fn blobs(&self) -> Blobs {
        blobs_of(self.registry(), self.store().as_ref())
    }

    /// Renews what is about to be named.
    pub(crate) const fn renewal(&self) -> &Arc<Renewal> {
        &self.renewal
    }

    /// Makes sure that no other process uses the registry, for as long as what is returned lives;
    /// `None`: one does, or may.
    pub(crate) fn alone(&self) -> Option<Alone<'_>> {
        let file = self.in_use.as_ref().as_ref()?;
        if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Some(Alone(file));
        }
        // A lock that could not be changed may be lost.
        let _ignored = flock(file, FlockOperation::LockShared);
        None
    }

    /// Whether a parcel is known to be shared.
    pub(crate) fn is_shared(&self, parcel: &Digest) -> bool {
        let shared = self.shared_parcels.lock().unwrap_or_else(PoisonError::into_inner);
        shared.get(parcel).is_some_and(|at| at.elapsed() < RENEWED_FOR)
    }

    /// Notes that a parcel is shared.
    pub(crate) fn note_shared(&self, parcel: &Digest) {
        let mut shared = self.shared_parcels.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.len() >= SHARED_PARCELS {
            // It is asked again for those that are still used.
            shared.clear();
        }
        shared.insert(parcel.clone(), Instant::now());
    }

    /// What is around it.
    pub fn surroundings(&self) -> &Surroundings {
        &self.inner.surroundings
    }

    /// A new run's id.
    ///
    /// # Errors
    ///
    /// If the system has no randomness to give.
    pub fn new_run_id(&self) -> Result<RunId, Error> {
        Ok(RunId::new(self.now(), random()?))
    }
}

/// The use of a registry by one process alone.
#[derive(Debug)]
pub(crate) struct Alone<'a>(&'a File);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // It is used as before.
        let _ignored = flock(self.0, FlockOperation::LockShared);
    }
}

/// Notes that this process uses the registry, for as long as the file is open. One that cannot be
/// written is only read, and needs no note.
fn note_use(registry: &Registry) -> Option<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(registry.root().join(IN_USE)).ok()?;
    flock(&file, FlockOperation::LockShared).ok()?;
    Some(file)
}

fn blobs_of(registry: &Registry, store: &dyn Store) -> Blobs {
    match store.shared_blobs() {
        None => Blobs::at(registry.blobs()),
        Some(shared) => Blobs::at(registry.root().join(SHARED_COPY)).copying(shared),
    }
}

/// 64 bits from the system's source of randomness.
pub(crate) fn random() -> Result<u64, Error> {
    getrandom::u64().map_err(|error| Error::Randomness { reason: error.to_string() })
}
