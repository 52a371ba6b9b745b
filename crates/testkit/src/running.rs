//! Running commands.

use std::io::{Read, Write as _};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::{ProgramOutput, wait_until};

/// Time for which the streams of a command may stay open after its end.
///
/// A detached helper that inherited them would keep them open for its lifetime.
const STREAM_LIMIT: Duration = Duration::from_secs(5);

/// Interval of checks for the end.
const PAUSE: Duration = Duration::from_millis(1);

/// A started command. Dropping it kills it.
#[derive(Debug)]
pub struct RunningProgram {
    child: Child,
    ended: Option<ExitStatus>,
    stdout: Stream,
    stderr: Stream,
    shown: String,
    started: Instant,
    limit: Duration,
}

impl RunningProgram {
    pub(crate) fn new(mut child: Child, input: Vec<u8>, shown: String, limit: Duration) -> Self {
        let stdout = Stream::of(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Stream::of(child.stderr.take().expect("stderr is a pipe"));
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        // A command need not read its input, so no one waits for this thread, and its error is
        // ignored.
        drop(thread::spawn(move || drop(stdin.write_all(&input))));
        Self { child, ended: None, stdout, stderr, shown, started: Instant::now(), limit }
    }

    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the output on stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.collected()).into_owned()
    }

    /// Returns the output on stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.collected()).into_owned()
    }

    /// Waits until stdout contains `text`.
    pub fn wait_for_stdout(&self, text: &str) {
        let what = format!("`{}` prints {text:?}", self.shown);
        wait_until(&what, self.limit, || self.stdout().contains(text));
    }

    /// Waits until stderr contains `text`.
    pub fn wait_for_stderr(&self, text: &str) {
        let what = format!("`{}` prints {text:?} on stderr", self.shown);
        wait_until(&what, self.limit, || self.stderr().contains(text));
    }

    /// Returns true if the command has not ended yet.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.look().is_none()
    }

    /// Sends SIGINT, as a terminal does on Ctrl-C.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGKILL.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends a signal; an ended command is ignored.
    pub fn signal(&self, signal: Signal) {
        // After the wait, the pid may belong to another process.
        if self.ended.is_some() {
            return;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let sent = kill_process(pid.expect("a process id"), signal);
        assert!(matches!(sent, Ok(()) | Err(Errno::SRCH)), "{}: {sent:?}", self.shown);
    }

    /// Waits for the end; kills the command and panics if it exceeds the limit.
    #[must_use = "look at what the command did, or call `.ok()`"]
    pub fn wait(mut self) -> ProgramOutput {
        let status = loop {
            if let Some(status) = self.look() {
                break status;
            }
            if self.started.elapsed() > self.limit {
                self.kill();
                panic!(
                    "`{}` took longer than {:?}\n--- stdout\n{}\n--- stderr\n{}",
                    self.shown,
                    self.limit,
                    self.stdout(),
                    self.stderr()
                );
            }
            thread::sleep(PAUSE);
        };
        let wall = self.started.elapsed();
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let what = format!("`{}`, which has ended, lets go of its {name}", self.shown);
            wait_until(&what, STREAM_LIMIT, || stream.is_closed());
        }
        let (stdout, stderr) = (self.stdout.collected(), self.stderr.collected());
        ProgramOutput::new(status, stdout, stderr, self.shown.clone(), wall)
    }

    fn look(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("the status of a child");
        }
        self.ended
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        if self.look().is_none() {
            self.kill();
            drop(self.child.wait());
        }
    }
}

/// A pipe that a thread reads to its end.
#[derive(Debug)]
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut chunk = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                let mut bytes = collected.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.extend_from_slice(chunk.get(..length).unwrap_or_default());
            }
        });
        Self { bytes, reader }
    }

    fn collected(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_closed(&self) -> bool {
        self.reader.is_finished()
    }
}
