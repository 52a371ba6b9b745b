//! Target whose agents are tasks of the test's process, and outlive the handle to them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::target::{
    AgentOutput, Conversation, Exit, LaunchSpec, Live, MemoryExceeded, OutputSink, Target,
    TargetStartError,
};
use errand_model::event::MemoryEnforcement;
use errand_model::{Locator, ProcessIdentity, RunId};
use tokio::task::JoinSet;

use super::agent::{self, Out, Shared, Stdin};
use crate::conformance::Program;

/// Bytes that wait in a pipe between harness and agent.
const PIPE_BYTES: usize = 64 * 1024;

/// Run and number of an attempt.
type AttemptKey = (RunId, u32);

/// Target whose agents are tasks. Dropping it ends them.
#[derive(Debug)]
pub struct ScriptedTarget {
    name: &'static str,
    /// Program of every agent; `None`: the one that its command line says.
    program: Option<Program>,
    agents: Mutex<BTreeMap<AttemptKey, Arc<Shared>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl ScriptedTarget {
    /// Returns a target of that name, whose agents run the [`Program`] of their command line.
    pub fn new(name: &'static str) -> Self {
        Self { name, program: None, agents: Mutex::default(), tasks: Mutex::default() }
    }

    /// Returns the same target, all of whose agents run `program`.
    #[must_use]
    pub fn running(self, program: Program) -> Self {
        Self { program: Some(program), ..self }
    }

    fn agents(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, Arc<Shared>>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the agents of a run that live.
    fn of_run(&self, run_id: &RunId) -> Vec<Arc<Shared>> {
        let agents = self.agents();
        let of_run = agents.iter().filter(|((run, _), agent)| run == run_id && !agent.has_ended());
        of_run.map(|(_, agent)| Arc::clone(agent)).collect()
    }

    fn live(&self, key: AttemptKey, shared: Arc<Shared>) -> Box<dyn Live> {
        Box::new(ScriptedLive { target: self.name, key, shared })
    }
}

#[async_trait]
impl Target for ScriptedTarget {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn start(
        &self,
        spec: &LaunchSpec,
        output: AgentOutput,
    ) -> Result<Box<dyn Live>, TargetStartError> {
        let program = self.program.or_else(|| Program::of_argv(&spec.argv));
        let not_found = || TargetStartError::NotFound { program: spec.argv.join(" ".as_ref()) };
        let program = program.ok_or_else(not_found)?;
        let key = (spec.run_id.clone(), spec.attempt);
        if let Some(agent) = self.agents().get(&key).filter(|agent| !agent.has_ended()) {
            return Ok(self.live(key.clone(), Arc::clone(agent)));
        }
        let err = OutputSink::stderr(output.clone());
        let (stdin, out, conversation): (Stdin, Out, _) = match agent::given(&spec.streams)? {
            Some(bytes) => {
                let out = Out::Sink(Box::new(OutputSink::stdout(output)));
                (Box::pin(io::Cursor::new(bytes)), out, None)
            }
            None => {
                let (to_agent, stdin) = tokio::io::duplex(PIPE_BYTES);
                let (stdout, from_agent) = tokio::io::duplex(PIPE_BYTES);
                let conversation =
                    Conversation { to_agent: Box::new(to_agent), from_agent: Box::new(from_agent) };
                (Box::pin(stdin), Out::Conversation(Box::pin(stdout)), Some(conversation))
            }
        };
        let shared = Arc::new(Shared::new(conversation));
        self.agents().insert(key.clone(), Arc::clone(&shared));
        let agent = Arc::clone(&shared);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(async move { agent::run(program, &agent, stdin, (out, err)).await });
        drop(tasks);
        Ok(self.live(key, shared))
    }

    async fn end(&self, run_id: &RunId, _: &[Locator], grace: Duration) -> io::Result<usize> {
        let agents = self.of_run(run_id);
        for agent in &agents {
            agent.stop(grace);
            agent.ended().await?;
        }
        Ok(agents.len())
    }

    async fn is_frozen(&self, run_id: &RunId, _: &ProcessIdentity) -> io::Result<bool> {
        Ok(self.of_run(run_id).iter().all(|agent| *agent.is_frozen.borrow()))
    }
}

/// Handle to an agent in a task.
#[derive(Debug)]
struct ScriptedLive {
    target: &'static str,
    key: AttemptKey,
    shared: Arc<Shared>,
}

#[async_trait]
impl Live for ScriptedLive {
    fn locator(&self) -> Locator {
        let fields = [("task".to_owned(), format!("{}/{}", self.key.0, self.key.1).into())];
        Locator { target: self.target.to_owned(), fields: fields.into() }
    }

    fn take_conversation(&self) -> Option<Conversation> {
        self.shared.conversation.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn wait(&self) -> io::Result<Exit> {
        self.shared.ended().await
    }

    fn stop(&self, grace: Duration) {
        self.shared.stop(grace);
    }

    async fn freeze(&self) -> io::Result<()> {
        self.shared.is_frozen.send_replace(true);
        Ok(())
    }

    async fn thaw(&self) {
        self.shared.is_frozen.send_replace(false);
    }

    fn memory_enforcement(&self) -> Option<MemoryEnforcement> {
        None
    }

    async fn memory_exceeded(&self) -> MemoryExceeded {
        std::future::pending().await
    }
}
