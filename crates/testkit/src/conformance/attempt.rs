//! Attempt of a conformance test: a run id and a folder of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use errand_agent::log;
use errand_agent::os;
use errand_agent::redact::Redactor;
use errand_agent::target::{
    AgentOutput, Input, LaunchSpec, SharedAccess, SharedPath, StartWaits, StdoutSpool, Streams,
};
use errand_api::agent_file;
use errand_model::RunId;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::Program;

/// Bytes of stdout that a test keeps.
const STDOUT_LIMIT_BYTES: u64 = 1024 * 1024;

/// Attempt with a run id and a folder of its own.
#[derive(Debug)]
pub struct TestAttempt {
    folder: TempDir,
    /// Id of the run.
    pub run_id: RunId,
}

impl Default for TestAttempt {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Unique beyond this process: processes are found by the id.
        let random = NEXT.fetch_add(1, Ordering::Relaxed) + (u64::from(std::process::id()) << 16);
        let folder = tempfile::tempdir().expect("a folder for the attempt");
        Self { folder, run_id: RunId::new(os::wall_clock(), random) }
    }
}

impl TestAttempt {
    /// Returns the order to start `program`, without input.
    pub fn spec(&self, program: Program) -> LaunchSpec {
        let mut env: Vec<(OsString, OsString)> = vec![
            ("ERRAND_RUN_ID".into(), self.run_id.as_str().into()),
            ("ERRAND_ATTEMPT".into(), "1".into()),
        ];
        env.push(("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()));
        LaunchSpec {
            run_id: self.run_id.clone(),
            attempt: 1,
            place: agent_file::TargetKind::default(),
            image: None,
            argv: program.argv(),
            env,
            cwd: self.folder.path().to_owned(),
            streams: Streams::Payload(Input::Empty),
            memory_limit_bytes: None,
            cpu_millis: None,
            pids: None,
            dispatch: None,
            time_limit: None,
            shared: vec![SharedPath {
                path: self.folder.path().to_owned(),
                access: SharedAccess::Own,
            }],
            hidden: Vec::new(),
            folder: self.folder.path().to_owned(),
        }
    }

    /// Returns receivers of the agent's output: a log in the attempt's folder.
    pub fn output(&self) -> AgentOutput {
        let log = log::Writer::open(&self.log_path()).expect("a log");
        let stdout =
            StdoutSpool { folder: self.folder.path().to_owned(), limit_bytes: STDOUT_LIMIT_BYTES };
        let (log, redactor) = (Arc::new(log), Redactor::default());
        let waits = StartWaits::default();
        AgentOutput { log, redactor, tee: None, watcher: None, stdout, waits }
    }

    /// Returns the same with a channel that receives the output as it comes.
    pub fn teed_output(&self) -> (AgentOutput, mpsc::Receiver<errand_agent::target::Chunk>) {
        let (tee, taken) = mpsc::channel(64);
        (AgentOutput { tee: Some(tee), ..self.output() }, taken)
    }

    /// Returns the text of the log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).expect("the log can be read")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("run.log")
    }
}
