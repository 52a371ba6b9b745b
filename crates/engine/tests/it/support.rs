//! Engines, agents and submissions of the tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use errand_agent::{Clock, Harnesses, SystemClock, Targets, os, parcel};
use errand_engine::run_options::RunOptions;
use errand_engine::submission::Submission;
use errand_engine::{Engine, EngineContext, Inner};
use errand_model::event::{RunKind, Trigger, TriggerKind};
use errand_store::sqlite::{self, Sqlite};
use errand_store::{Holder, Registry};

/// Agent file of an agent that does nothing.
const NOTHING: &str = "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: { name: nothing }\n\
                       spec: { command: [/bin/true] }\n";

/// Parts in which engines of tests differ.
pub(crate) struct Parts {
    /// Process that holds leases, as far as the store knows.
    pub(crate) holder: Holder,
    pub(crate) clock: Arc<dyn Clock>,
    /// Program that helpers are started with.
    pub(crate) program: PathBuf,
    pub(crate) targets: Targets,
    pub(crate) harnesses: Harnesses,
}

impl Default for Parts {
    fn default() -> Self {
        let process = os::own_identity().unwrap();
        Self {
            holder: Holder { host: os::host_name(), process, worker: None },
            clock: Arc::new(SystemClock),
            program: std::env::current_exe().unwrap(),
            targets: Targets::default(),
            harnesses: Harnesses::default(),
        }
    }
}

/// Returns an engine on the registry in `root`, which looks like a process of its own to others.
pub(crate) fn engine_of(root: &Path, parts: Parts) -> Engine {
    let registry = Registry::at(root.join(".errand"));
    let store = Sqlite::open(&registry, sqlite::Options::CREATE).unwrap();
    let Parts { holder, clock, program, targets, harnesses } = parts;
    let surroundings = EngineContext {
        registry,
        environment: BTreeMap::new(),
        program,
        identity: root.join("config/identity.txt"),
        runtime_dir: root.join("run"),
        targets,
        harnesses,
        model_gateway: None,
    };
    Engine::new(Inner { surroundings, store: Arc::new(store), clock, holder })
}

/// Writes an agent that does nothing; returns its folder.
pub(crate) fn nothing(root: &Path) -> PathBuf {
    agent(root, "agent", NOTHING)
}

/// Writes an agent file into a folder of its own; returns that folder.
pub(crate) fn agent(root: &Path, name: &str, file: &str) -> PathBuf {
    let folder = root.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("agent.yaml"), file).unwrap();
    folder
}

/// Returns a submission of a job without input.
pub(crate) fn job(engine: &Engine, agent: &Path, options: RunOptions) -> Submission {
    let parcel = parcel::build(agent, &engine.registry().parcels()).unwrap();
    let trigger = Trigger { kind: TriggerKind::Manual, source: None, payload: None };
    Submission::new(parcel, agent.display().to_string(), RunKind::Job, trigger, options)
}
