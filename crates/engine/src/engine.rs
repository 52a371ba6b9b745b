//! The engine's shared parts: store, registry files, clock, metrics and settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use errand_agent::harness::Harness;
use errand_agent::model_door::ModelGateway;
use errand_agent::target::Target;
use errand_agent::{Clock, Harnesses, Targets};
use errand_api::agent_file::Agent;
use errand_model::run::{Run, RunAttempt};
use errand_model::{Digest, Locator, RunId, Timestamp};
use errand_store::{Blobs, Holder, Registry, Store};
use rustix::fs::{FlockOperation, flock};
use tokio::time::Instant;

use crate::error::{AgentUnsupported, NoRandomness};
use crate::health::HealthChecks;
use crate::live::LiveWatchers;
use crate::metrics::Metrics;
use crate::outgoing::Addresses;
use crate::renewal::{RENEWED_FOR, Renewal};
use crate::store_observer::StoreObserver;

/// Folder of copies of shared blobs: each of them is certainly shared.
const SHARED_COPY: &str = "blobs-shared";

/// File whose lock shows that a process uses the registry.
const IN_USE: &str = "in-use.lock";

/// Parcels remembered as shared.
const SHARED_PARCELS: usize = 10_000;

/// Largest output of a run by default: large enough for documents, and small enough for a reader to
/// hold it in memory. A larger one should be an artifact.
const OUTPUT_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// A registry with everything that is needed to run agents on it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
    live: Arc<LiveWatchers>,
    metrics: Arc<Metrics>,
    limits: Arc<BTreeMap<String, u32>>,
    output_limit_bytes: u64,
    /// Parcels that are certainly shared with other machines, each with the time when that was
    /// found.
    shared_parcels: Arc<Mutex<BTreeMap<Digest, Instant>>>,
    /// Lock that shows other processes that this one uses the registry, and may be about to name
    /// unnamed blobs; `None` if it cannot be taken.
    in_use: Arc<Option<File>>,
    renewal: Arc<Renewal>,
    health_checks: Arc<HealthChecks>,
    /// True if the environment of this process is that of the caller who starts runs.
    records_environment: bool,
}

/// Parts of an [`Engine`].
#[derive(Debug)]
pub struct Inner {
    /// Files, environment and program.
    pub surroundings: EngineContext,
    /// Store of runs.
    pub store: Arc<dyn Store>,
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Holder of leases: this process.
    pub holder: Holder,
}

/// Files, environment and program of an engine: enough to check a submission before anything is
/// created.
#[derive(Clone, Debug)]
pub struct EngineContext {
    /// Files of the registry, which may not exist yet.
    pub registry: Registry,
    /// Environment that agents may see, and that is searched first for secrets.
    pub environment: BTreeMap<OsString, OsString>,
    /// Path of this program, for helper processes and for the agents' `PATH`.
    pub program: PathBuf,
    /// Path of the user's identity for secrets.
    pub identity: PathBuf,
    /// Folder of sockets whose path would be too long below the registry.
    pub runtime_dir: PathBuf,
    /// Places where agents can live.
    pub targets: Targets,
    /// Ways in which agents can be driven.
    pub harnesses: Harnesses,
    /// Gateway to model providers, if this program has one.
    pub model_gateway: Option<Arc<dyn ModelGateway>>,
}

/// Target and harness of an agent.
type Drivers = (Arc<dyn Target>, Arc<dyn Harness>);

impl EngineContext {
    /// Returns the target and the harness that an agent asks for.
    ///
    /// # Errors
    ///
    /// [`crate::error::AgentUnsupported`] with the name of what this program does not have.
    pub(crate) fn drivers_of(&self, agent: &Agent) -> Result<Drivers, AgentUnsupported> {
        let target = self.targets.get(agent.target_name());
        let harness = self.harnesses.get(agent.harness.name());
        match (target, harness) {
            (Some(target), Some(harness)) => Ok((Arc::clone(target), Arc::clone(harness))),
            (_, _) => Err(AgentUnsupported::asking_for(&self.lacks(agent))),
        }
    }

    /// Returns the harness and the target that an agent asks for and this program does not have,
    /// for people.
    pub(crate) fn lacks(&self, agent: &Agent) -> Vec<String> {
        let (harness, target) = (agent.harness.name(), agent.target_name());
        let harness =
            self.harnesses.get(harness).is_none().then(|| format!("the harness {harness}"));
        let target = self.targets.get(target).is_none().then(|| format!("the target {target}"));
        harness.into_iter().chain(target).collect()
    }
}

impl Engine {
    /// Builds an engine. From now on, changes of the store are counted, and what they name is
    /// renewed.
    pub fn new(inner: Inner) -> Self {
        let metrics = Arc::new(Metrics::default());
        let registry = &inner.surroundings.registry;
        let in_use = Arc::new(note_use(registry));
        let blobs = blobs_of(registry, inner.store.as_ref());
        let renewal = Arc::new(Renewal::new(blobs, registry.parcels()));
        let (of_store, renews) = (Arc::clone(&metrics), Arc::clone(&renewal));
        inner.store.observe(Arc::new(StoreObserver { metrics: of_store, renewal: renews }));
        let (live, limits, shared_parcels) = (Arc::default(), Arc::default(), Arc::default());
        let inner = Arc::new(inner);
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
            health_checks: Arc::default(),
            records_environment,
        }
    }

    /// Returns an engine that records its environment with the runs that it admits, so that all
    /// their attempts see it: for a process that acts for its caller alone, not for a server.
    #[must_use]
    pub fn recording_environment(self) -> Self {
        Self { records_environment: true, ..self }
    }

    /// Returns the last answers of health checks of services.
    pub(crate) const fn health_checks(&self) -> &Arc<HealthChecks> {
        &self.health_checks
    }

    /// Returns true if the environment of this process is recorded with runs that it admits.
    pub(crate) const fn records_environment(&self) -> bool {
        self.records_environment
    }

    /// Returns an engine that asks services for their health at these addresses only: for a server, whose
    /// callers define services.
    #[must_use]
    pub fn checking_health_at(self, addresses: Addresses) -> Self {
        Self { health_checks: Arc::new(HealthChecks::limited_to(addresses)), ..self }
    }

    /// Returns an engine whose runs may have outputs of at most `output_limit_bytes`.
    #[must_use]
    pub fn with_output_limit(self, output_limit_bytes: u64) -> Self {
        Self { output_limit_bytes, ..self }
    }

    /// Returns the most bytes of a run's output, from any source.
    pub(crate) const fn output_limit_bytes(&self) -> u64 {
        self.output_limit_bytes
    }

    /// Returns an engine with limits on the concurrent runs of namespaces on workers, by name; a
    /// namespace without an entry is not limited.
    #[must_use]
    pub fn with_namespace_limits(self, limits: BTreeMap<String, u32>) -> Self {
        Self { limits: Arc::new(limits), ..self }
    }

    /// Returns the most concurrent runs of a namespace on workers; `None` for no limit.
    pub(crate) fn namespace_limit(&self, namespace: Option<&str>) -> Option<u32> {
        self.limits.get(namespace.unwrap_or(errand_model::DEFAULT_NAMESPACE)).copied()
    }

    /// Returns the counters of this process.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns the registry's files.
    pub fn registry(&self) -> &Registry {
        &self.inner.surroundings.registry
    }

    /// Returns the store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Returns this process as a holder of leases.
    pub fn holder(&self) -> &Holder {
        &self.inner.holder
    }

    /// Returns the live output of agents in this process.
    pub const fn live(&self) -> &Arc<LiveWatchers> {
        &self.live
    }

    /// Returns the present time.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Returns an engine with a clock that only runs forward, at its own pace, from the present
    /// time or from `at_least` if that is later.
    pub(crate) fn steadied(&self, at_least: Timestamp) -> Self {
        let Inner { surroundings, store, clock, holder } = self.inner.as_ref();
        let inner = Inner {
            surroundings: surroundings.clone(),
            store: Arc::clone(store),
            clock: clock.steadied(at_least),
            holder: holder.clone(),
        };
        Self { inner: Arc::new(inner), ..self.clone() }
    }

    /// Returns the blob store. If machines share one, the local folder holds copies of a part of
    /// it.
    pub fn blobs(&self) -> Blobs {
        blobs_of(self.registry(), self.store().as_ref())
    }

    /// Returns true if other machines use the registry too, with files of their own.
    pub(crate) fn is_of_fleet(&self) -> bool {
        self.store().shared_logs().is_some()
    }

    /// Returns the renewal of blobs and parcels that a commit is about to name.
    pub(crate) const fn renewal(&self) -> &Arc<Renewal> {
        &self.renewal
    }

    /// Ensures that no other process uses the registry as long as the returned value lives; `None`
    /// if one does, or may.
    pub(crate) fn alone(&self) -> Option<ExclusiveUse<'_>> {
        let file = self.in_use.as_ref().as_ref()?;
        if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Some(ExclusiveUse(file));
        }
        // A lock that could not be changed may be lost.
        let _ignored = flock(file, FlockOperation::LockShared);
        None
    }

    /// Returns true if a parcel is known to be shared.
    pub(crate) fn is_shared(&self, parcel: &Digest) -> bool {
        let shared = self.shared_parcels.lock().unwrap_or_else(PoisonError::into_inner);
        shared.get(parcel).is_some_and(|at| at.elapsed() < RENEWED_FOR)
    }

    /// Notes that a parcel is shared.
    pub(crate) fn note_shared(&self, parcel: &Digest) {
        let mut shared = self.shared_parcels.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.len() >= SHARED_PARCELS {
            // The store is queried again for parcels that are still used.
            shared.clear();
        }
        shared.insert(parcel.clone(), Instant::now());
    }

    /// Returns files, environment and program.
    pub fn surroundings(&self) -> &EngineContext {
        &self.inner.surroundings
    }

    /// Returns the target in which the agent of a run's last attempt lives, or lived; `None`: this
    /// program does not have it.
    pub(crate) fn target_of(&self, run: &Run) -> Option<&Arc<dyn Target>> {
        let name = run.attempts.last().map_or(Locator::PROCESS, RunAttempt::target);
        self.surroundings().targets.get(name)
    }

    /// Returns a little less than `length` at random, so that many waiters do not wake together.
    pub(crate) fn jittered(&self, length: Duration) -> Duration {
        let spread = random().unwrap_or_else(|_| self.now().as_millis().unsigned_abs());
        let percent = u32::try_from(spread % 20).unwrap_or(0);
        length.saturating_sub(length / 100 * percent)
    }

    /// Returns a new run id.
    ///
    /// # Errors
    ///
    /// If the system has no randomness to give.
    pub fn new_run_id(&self) -> Result<RunId, NoRandomness> {
        Ok(RunId::new(self.now(), random()?))
    }
}

/// Exclusive use of a registry by this process.
#[derive(Debug)]
pub(crate) struct ExclusiveUse<'a>(&'a File);

impl Drop for ExclusiveUse<'_> {
    fn drop(&mut self) {
        // Back to shared use.
        let _ignored = flock(self.0, FlockOperation::LockShared);
    }
}

/// Shows that this process uses the registry, for as long as the file is open. A registry that
/// cannot be written is only read, and needs no lock.
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
        // The registry of one machine got a place for blobs later, and has older blobs.
        Some(shared) if store.shared_logs().is_none() => {
            Blobs::at(registry.blobs()).copying(shared)
        }
        Some(shared) => Blobs::at(registry.root().join(SHARED_COPY)).copying(shared),
    }
}

/// Returns 64 bits from the system's source of randomness.
pub(crate) fn random() -> Result<u64, NoRandomness> {
    getrandom::u64().map_err(|error| NoRandomness { reason: error.to_string() })
}
