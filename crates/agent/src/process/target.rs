//! The target `process`: processes of this machine as a [`Target`].

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use errand_api::agent_file::TargetKind;
use errand_model::event::MemoryEnforcement;
use errand_model::{Locator, ProcessIdentity, RunId};
use tokio::task::JoinSet;

use super::memory::MemoryLimit;
use super::running::RunningProcess;
use super::sandbox;
use crate::os;
use crate::target::{
    AgentOutput, Conversation, Exit, LaunchSpec, Live, MemoryExceeded, Target, TargetStartError,
};

/// The target `process`. Cheap to clone; clones share their record of started attempts.
#[derive(Clone, Debug, Default)]
pub struct ProcessTarget {
    started: Arc<Mutex<BTreeSet<AttemptKey>>>,
}

/// Run and number of an attempt.
type AttemptKey = (RunId, u32);

#[async_trait]
impl Target for ProcessTarget {
    fn name(&self) -> &'static str {
        Locator::PROCESS
    }

    async fn check(&self, place: &TargetKind) -> Result<(), TargetStartError> {
        sandbox::wanted(place).map_or(Ok(()), sandbox::check)
    }

    async fn start(
        &self,
        spec: &LaunchSpec,
        output: AgentOutput,
    ) -> Result<Box<dyn Live>, TargetStartError> {
        let claim = self.claim(spec)?;
        let running = super::start(spec, output)?;
        let private = sandbox::wanted(&spec.place).map(|_| sandbox::private_folder(&spec.folder));
        Ok(Box::new(LiveProcess { running, private, _claim: claim }))
    }

    async fn end(&self, run_id: &RunId, known: &[Locator], grace: Duration) -> io::Result<usize> {
        let run_id = run_id.clone();
        let known: Vec<ProcessIdentity> = known.iter().filter_map(Locator::process).collect();
        let mut ending = JoinSet::new();
        ending.spawn_blocking(move || os::end_run_processes(&run_id, &known, grace));
        match ending.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(0),
        }
    }

    async fn is_frozen(&self, run_id: &RunId, supervisor: &ProcessIdentity) -> io::Result<bool> {
        Ok(os::is_run_frozen(run_id, supervisor))
    }
}

impl ProcessTarget {
    /// Claims the attempt for as long as the claim lives.
    fn claim(&self, spec: &LaunchSpec) -> Result<Claim, TargetStartError> {
        let (run_id, attempt) = (spec.run_id.clone(), spec.attempt);
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if !started.insert((run_id.clone(), attempt)) {
            return Err(TargetStartError::AlreadyStarted { run_id, attempt });
        }
        Ok(Claim { started: Arc::clone(&self.started), attempt: (run_id, attempt) })
    }
}

/// Right to start the agent of one attempt.
#[derive(Debug)]
struct Claim {
    started: Arc<Mutex<BTreeSet<AttemptKey>>>,
    attempt: AttemptKey,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.attempt);
    }
}

/// A running process, and the right to run it.
#[derive(Debug)]
struct LiveProcess {
    running: RunningProcess,
    /// Folder with the files that only an agent in a sandbox sees.
    private: Option<PathBuf>,
    _claim: Claim,
}

#[async_trait]
impl Live for LiveProcess {
    fn locator(&self) -> Locator {
        Locator::of_process(self.running.identity())
    }

    fn take_conversation(&self) -> Option<Conversation> {
        self.running.take_conversation()
    }

    async fn wait(&self) -> io::Result<Exit> {
        let exit = self.running.wait().await?;
        if let Some(folder) = self.private.clone() {
            // It may have many files. What cannot be removed goes with the folder of the attempt.
            let mut removal = JoinSet::new();
            removal.spawn_blocking(move || std::fs::remove_dir_all(folder));
            let _removed = removal.join_next().await;
        }
        Ok(exit)
    }

    fn stop(&self, grace: Duration) {
        self.running.begin_stop(grace);
    }

    async fn freeze(&self) -> io::Result<()> {
        self.running.freeze()
    }

    async fn thaw(&self) {
        self.running.thaw();
    }

    fn memory_enforcement(&self) -> Option<MemoryEnforcement> {
        self.running.memory_limit().map(|_| MemoryEnforcement::Rss)
    }

    async fn memory_exceeded(&self) -> MemoryExceeded {
        match self.running.memory_limit() {
            Some(limit_bytes) => {
                let used_bytes = MemoryLimit::new(self.running.process(), limit_bytes).exceeded();
                MemoryExceeded { used_bytes: used_bytes.await, limit_bytes }
            }
            None => std::future::pending().await,
        }
    }
}
