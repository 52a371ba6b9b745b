//! A worker, as it tells of itself.

use std::collections::BTreeMap;

use errand_model::placement::Resources;
use errand_model::{RunId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Resources and work of a worker, as of its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Worker {
    /// Name of the worker; two may have the same.
    pub name: String,
    /// The machine.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Number of runs that it executes at once.
    pub slots: u32,
    /// Number of runs that it executes now.
    pub busy: u32,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Resources; `null`: it does not count them, and takes any run.
    pub resources: Option<WorkerResources>,
    /// Start time.
    #[schemars(with = "i64")]
    pub since_ms: Timestamp,
    /// Time of the last heartbeat.
    #[schemars(with = "i64")]
    pub seen_at_ms: Timestamp,
    /// True if it claims no more runs before its shutdown.
    pub draining: bool,
    /// Runs that it executes: some of them, where there are many, and only those that the caller
    /// may see.
    pub runs: Vec<WorkerRun>,
}

/// A run that a worker carries out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerRun {
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Namespace of the run.
    pub namespace: String,
    /// Name of the agent.
    pub agent: String,
}

/// The shape of [`Workers`].
pub const WORKERS_SCHEMA: u32 = 1;

/// All workers that were heard of lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workers {
    /// The shape of this document.
    pub schema: u32,
    /// By name.
    pub workers: Vec<Worker>,
}

impl Workers {
    /// Returns the list of these workers.
    pub const fn of(workers: Vec<Worker>) -> Self {
        Self { schema: WORKERS_SCHEMA, workers }
    }
}

/// Resources of a worker that runs may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Amounts")]
pub struct WorkerResources {
    /// Thousandths of a core; `null`: not counted.
    pub cpu_millis: Option<u64>,
    /// Bytes of memory; `null`: not counted.
    pub memory_bytes: Option<u64>,
    /// Graphics processors.
    pub gpu: u64,
}

impl From<Resources> for WorkerResources {
    fn from(resources: Resources) -> Self {
        let counted = |amount: u64| Some(amount).filter(|amount| *amount != u64::MAX);
        Self {
            cpu_millis: counted(resources.cpu_millis),
            memory_bytes: counted(resources.memory_bytes),
            gpu: resources.gpu,
        }
    }
}
