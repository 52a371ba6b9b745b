//! Helpers of the tests of processes: agents as small programs, and waiting with a limit.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use errand_agent::log::{self, LogReader, Query};
use errand_agent::os::{self, Liveness};
use errand_agent::process::{RunningProcess, start};
use errand_agent::redact::Redactor;
use errand_agent::target::{
    AgentOutput, Input, LaunchSpec, StartWaits, StdoutSpool, Streams, TargetStartError,
};
use errand_api::agent_file;
use errand_model::{ProcessIdentity, RunId};
use tempfile::TempDir;

/// Time limit that is longer than any step takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A run with its own folder.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) run_id: RunId,
    pub(crate) redactor: Redactor,
}

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Unique across test processes, because processes of a run are found by its id.
        let random = NEXT.fetch_add(1, Ordering::Relaxed) + (u64::from(std::process::id()) << 16);
        Self {
            dir: tempfile::tempdir().unwrap(),
            run_id: RunId::new(os::wall_clock(), random),
            redactor: Redactor::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path("run.log")
    }

    /// Writes an executable script and returns its path.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub(crate) fn spec(&self, argv: &[&str]) -> LaunchSpec {
        let mut env: Vec<(OsString, OsString)> =
            vec![("ERRAND_RUN_ID".into(), self.run_id.as_str().into())];
        env.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
        LaunchSpec {
            run_id: self.run_id.clone(),
            attempt: 1,
            place: agent_file::TargetKind::default(),
            image: None,
            argv: argv.iter().map(Into::into).collect(),
            env,
            cwd: self.dir.path().to_owned(),
            streams: Streams::Payload(Input::Empty),
            memory_limit_bytes: None,
            cpu_millis: None,
            pids: None,
            dispatch: None,
            time_limit: None,
            shared: Vec::new(),
            hidden: Vec::new(),
            folder: self.dir.path().to_owned(),
        }
    }

    pub(crate) fn output(&self) -> AgentOutput {
        let log = Arc::new(log::Writer::open(&self.log_path()).unwrap());
        let stdout = StdoutSpool { folder: self.path("."), limit_bytes: 64 * 1024 * 1024 };
        AgentOutput {
            log,
            redactor: self.redactor.clone(),
            tee: None,
            watcher: None,
            stdout,
            waits: StartWaits::default(),
        }
    }

    pub(crate) fn start(&self, spec: &LaunchSpec) -> Result<RunningProcess, TargetStartError> {
        start(spec, self.output())
    }

    /// Starts a shell with `script`.
    pub(crate) fn shell(&self, script: &str) -> RunningProcess {
        self.start(&self.spec(&["/bin/sh", "-c", script])).unwrap()
    }

    /// Starts a Python program.
    pub(crate) fn python(&self, program: &str) -> RunningProcess {
        self.start(&self.spec(&["python3", "-u", "-c", program])).unwrap()
    }

    /// The log without times: `stdout F text`.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read(self.log_path()).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    /// Processes that carry the mark of the run, anywhere on the machine.
    pub(crate) fn living(&self) -> Vec<ProcessIdentity> {
        os::descendants_of_run(&self.run_id, None)
    }

    /// Waits for a file that the agent writes, and returns its content.
    pub(crate) fn wait_for(&self, name: &str) -> String {
        let path = self.path(name);
        eventually(|| fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n')))
            .trim()
            .to_owned()
    }

    pub(crate) fn wait_for_pid(&self, name: &str) -> ProcessIdentity {
        let pid = self.wait_for(name).parse().unwrap();
        os::identity_of(pid).unwrap().unwrap()
    }
}

/// Returns a whole log as `logs` prints it.
pub(crate) fn shown(path: &Path, query: Query) -> String {
    let mut reader = LogReader::open(path, query).unwrap();
    let mut out = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        line.render(false, &mut out);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Polls `look` until it finds something; panics after the limit.
pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "did not happen in {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn is_alive(process: &ProcessIdentity) -> bool {
    os::liveness(process) == Liveness::Alive
}
