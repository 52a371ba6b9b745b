//! Registries of the program under measurement.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::Failure;
use crate::arguments::Arguments;

/// Time limit of any wait.
const PATIENCE: Duration = Duration::from_secs(120);

/// Statuses of runs that have processes. The many runs that `http` schedules for a later day have
/// none: a command to stop each of them would take minutes.
const SUPERVISED: [&str; 2] = ["running", "paused"];

/// A folder with a registry, and the program. Dropping it stops its runs that have processes.
#[derive(Debug)]
pub(crate) struct Lab {
    folder: TempDir,
    program: PathBuf,
}

impl Lab {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix(".bench-").tempdir_in(&arguments.folder)?;
        fs::create_dir(folder.path().join("home"))?;
        Ok(Self { folder, program: arguments.errand.clone() })
    }

    /// Returns the folder, on the disk to be measured.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes an agent that runs `command` (a YAML list). Returns its path. `more` has further
    /// lines of `spec`.
    pub(crate) fn agent(&self, name: &str, command: &str, more: &str) -> Result<PathBuf, Failure> {
        let folder = self.folder().join(name);
        fs::create_dir(&folder)?;
        let text = format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: {name}, version: 1.0.0 }}\n\
             spec:\n  command: {command}\n{more}"
        );
        fs::write(folder.join("agent.yaml"), text)?;
        Ok(folder)
    }

    /// Returns a command of the program, silent and without input.
    pub(crate) fn errand<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.folder().join("home"))
            .env("ERRAND_ROOT", self.registry())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Returns the folder of the registry.
    pub(crate) fn registry(&self) -> PathBuf {
        self.folder().join(".errand")
    }

    /// Returns the time of a command that must exit with 0.
    pub(crate) fn time<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Result<Duration, Failure> {
        let mut command = self.errand(words);
        let started = Instant::now();
        let status = command.status()?;
        let taken = started.elapsed();
        if status.success() {
            return Ok(taken);
        }
        // Repeated for the error message.
        self.output(words).map(|_| taken)
    }

    /// Returns the output of a command that must exit with 0.
    pub(crate) fn output<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Result<String, Failure> {
        let mut command = self.errand(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output()?;
        if !output.status.success() {
            let shown: Vec<_> =
                words.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect();
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "`errand {}`: {}: {}",
                shown.join(" "),
                output.status,
                complaint.trim()
            )
            .into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Returns the record of a run.
    pub(crate) fn record(&self, run_id: &str) -> Result<Value, Failure> {
        Ok(serde_json::from_str(&self.output(&["inspect-run", run_id, "-o", "json"])?)?)
    }

    /// Waits until a run is terminal.
    pub(crate) fn wait(&self, run_id: &str) -> Result<(), Failure> {
        // The exit code is the run's, which is not measured.
        self.errand(&["wait", run_id]).status()?;
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for status in SUPERVISED {
            let filter = format!("status={status}");
            let runs = self.output(&["ps", "--quiet", "--filter", &filter]).unwrap_or_default();
            for run_id in runs.split_whitespace() {
                drop(self.errand(&["stop", "--force", run_id]).status());
            }
        }
    }
}

/// Waits until `probe` returns a value.
pub(crate) fn wait_for<T>(
    what: &str,
    mut probe: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let started = Instant::now();
    loop {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("waited in vain until {what}").into());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Returns a number of kB from `/proc/<pid>/status`, such as `VmRSS`.
pub(crate) fn memory_kib(pid: u64, field: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    status_number(&status, field).ok_or_else(|| format!("no {field} for process {pid}").into())
}

/// Returns a number from the text of a `/proc/<pid>/status`.
pub(crate) fn status_number(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.split(':').next() == Some(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
