//! Reports of the shim on their way to the receivers of an agent's output.
//!
//! The reports come from a [`ReportSource`]: the pipe of a container, or the connection of a Pod.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::target::{AgentOutput, Exit, ExitUsage, Kept, OutputSink, Stdout};
use errand_shim::{CommandEnd, FilePiece, Order, Report, StartProblem};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::control::{ControlFolder, OrderPipe};
use crate::kept::{OutputProgress, ProgressWriter};
use crate::moment::sleep_until;
use crate::report_pipe::{FoundReports, ReportPipe};

/// Time without output after which text without a newline (a question, a progress line) is logged.
const QUIET: Duration = Duration::from_millis(50);
/// Time that a dismissed shim has to exit.
const EXIT_LIMIT: Duration = Duration::from_secs(2);

/// Everything that a container reported.
#[derive(Debug)]
pub struct ContainerReported {
    /// End of the command; `None` if the container ended without a report.
    pub end: Option<CommandEnd>,
    /// Its stdout.
    pub stdout: Stdout,
    /// The last lines of its stderr.
    pub stderr_tail: Option<String>,
}

/// End of a container: of its command, or of a container that reported none.
#[derive(Clone, Copy, Debug)]
pub struct ContainerEnd {
    /// Exit code; `None` if a signal ended the command.
    pub code: Option<i32>,
    /// Signal that ended the command.
    pub signal: Option<i32>,
    /// Number of processes that were killed for want of memory.
    pub oom_kills: u64,
}

impl ContainerReported {
    /// Returns the exit of an agent in a container that ended like that. Without a report of its command,
    /// the agent's time counts from `started_at`.
    pub fn exit(reported: Option<&Self>, ended: ContainerEnd, started_at: Instant) -> Exit {
        let end = reported.and_then(|reported| reported.end);
        let ContainerEnd { code, signal, oom_kills } = ended;
        let usage = ExitUsage {
            wall: end
                .map_or_else(|| started_at.elapsed(), |end| Duration::from_millis(end.wall_ms)),
            cpu: Duration::from_micros(end.map_or(0, |end| end.cpu_us)),
            max_rss_bytes: end.map_or(0, |end| end.memory_peak_bytes),
        };
        let stragglers = end.map_or(0, |end| usize::try_from(end.stragglers).unwrap_or(usize::MAX));
        let (stdout, stderr_tail) = match reported {
            Some(reported) => (reported.stdout.clone(), reported.stderr_tail.clone()),
            None => (Stdout::Memory(Vec::new()), None),
        };
        Exit { code, signal, usage, stdout, stderr_tail, stragglers, oom_kills, failure: None }
    }

    /// Returns the end that the shim reported.
    pub fn ended(&self) -> Option<ContainerEnd> {
        let end = self.end?;
        Some(ContainerEnd { code: end.code, signal: end.signal, oom_kills: end.oom_kills })
    }
}

/// Start of the command, as the shim reports it.
pub type Started = Result<(), StartProblem>;

/// Source of reports. A report stays in it until it is taken out, so that a process that is killed
/// loses none: the source of the next process has it again.
#[async_trait]
pub trait ReportSource: std::fmt::Debug + Send {
    /// Waits for reports, and returns them without taking them out; `None` once no more can come. May
    /// be cancelled.
    ///
    /// # Errors
    ///
    /// If no more can be read.
    async fn look(&mut self) -> io::Result<Option<FoundReports>>;

    /// Takes reports out: they are in the log.
    ///
    /// # Errors
    ///
    /// If no more can be read.
    fn take(&mut self, found: &FoundReports) -> io::Result<()>;

    /// Returns the copy of the last report, if there is one outside the source.
    fn last_report(&self) -> Option<Report>;

    /// Lets the shim exit: its last report is in the log.
    async fn dismiss(&self);

    /// Takes note that the agent is frozen.
    fn frozen(&mut self) {}

    /// Takes a piece of a file that comes back.
    fn file(&mut self, _piece: FilePiece) {}
}

/// Reports of a container, in the pipe of its control folder.
#[derive(Debug)]
pub(crate) struct ContainerReports {
    pub(crate) pipe: ReportPipe,
    pub(crate) orders: Arc<OrderPipe>,
    pub(crate) control: ControlFolder,
}

#[async_trait]
impl ReportSource for ContainerReports {
    async fn look(&mut self) -> io::Result<Option<FoundReports>> {
        self.pipe.look().await
    }

    fn take(&mut self, found: &FoundReports) -> io::Result<()> {
        self.pipe.take(found)
    }

    fn last_report(&self) -> Option<Report> {
        self.control.last_report()
    }

    async fn dismiss(&self) {
        // A broken pipe means that it has exited.
        drop(self.orders.send(&Order::Dismiss).await);
    }
}

/// Pump of reports into sinks.
#[derive(Debug)]
pub struct ReportPump<S> {
    source: S,
    progress: ProgressWriter,
    started: Option<oneshot::Sender<Started>>,
    /// Sinks of stdout and stderr.
    sinks: [OutputSink; 2],
    is_over: bool,
    end: Option<CommandEnd>,
}

impl<S: ReportSource> ReportPump<S> {
    /// Creates the pump of a container that is about to start; `started` gets the start of its
    /// command.
    pub fn new(
        source: S,
        progress: ProgressWriter,
        started: oneshot::Sender<Started>,
        output: AgentOutput,
    ) -> Self {
        let sinks = [OutputSink::stdout(output.clone()), OutputSink::stderr(output)];
        Self { source, progress, started: Some(started), sinks, is_over: false, end: None }
    }

    /// Creates the pump of a container that another process started. It continues where the pump of
    /// that process left off.
    ///
    /// # Errors
    ///
    /// If the log or the progress cannot be read.
    pub fn continuing(
        source: S,
        progress: ProgressWriter,
        attempt: u32,
        output: &AgentOutput,
    ) -> io::Result<Self> {
        let OutputProgress { is_over, sinks } = progress.last()?;
        let sinks = OutputSink::continuing(output, attempt, sinks, is_over)?;
        Ok(Self { source, progress, started: None, sinks, is_over, end: None })
    }

    /// Forwards all reports until the container has ended.
    pub async fn run(mut self) -> ContainerReported {
        // Of a container whose last report was read, nothing more comes.
        let gone = if self.is_over { Ok(()) } else { self.forward().await };
        if gone.is_err() || self.end.is_none() {
            // The container has ended, or the agent wrote into the pipe: its last report has a copy.
            self.end = self.source.last_report().and_then(|report| match report {
                Report::Ended(end) => Some(end),
                Report::Started
                | Report::NotStarted(_)
                | Report::Stdout(_)
                | Report::Stderr(_)
                | Report::Frozen
                | Report::File(_) => None,
            });
            self.finish_text().await;
            self.source.dismiss().await;
        }
        let [stdout, stderr] = self.sinks.map(OutputSink::into_kept);
        let stdout = match stdout {
            Kept::Stdout(stdout) => stdout,
            Kept::StderrTail(_) => Stdout::Memory(Vec::new()),
        };
        let stderr_tail = match stderr {
            Kept::StderrTail(tail) => tail,
            Kept::Stdout(_) => None,
        };
        ContainerReported { end: self.end, stdout, stderr_tail }
    }

    async fn forward(&mut self) -> io::Result<()> {
        let mut exits_by = None;
        loop {
            let quiet_at = Instant::now() + QUIET;
            let has_tail = self.sinks.iter().any(OutputSink::has_unfinished_line);
            tokio::select! {
                biased;
                found = self.source.look() => {
                    // No process of the container has the pipe any more.
                    let Some(found) = found? else { return Ok(()) };
                    if self.take(found).await? {
                        exits_by = Some(Instant::now() + EXIT_LIMIT);
                    }
                }
                () = tokio::time::sleep_until(quiet_at), if has_tail => {
                    self.sinks.iter_mut().for_each(OutputSink::flush);
                }
                () = sleep_until(exits_by), if exits_by.is_some() => return Ok(()),
            }
        }
    }

    /// Takes reports: first into the log, then out of the pipe. Returns true if the last one is among
    /// them.
    async fn take(&mut self, mut found: FoundReports) -> io::Result<bool> {
        let mut is_last = false;
        for report in std::mem::take(&mut found.reports) {
            match report {
                Report::Started => self.tell(Ok(())),
                Report::NotStarted(problem) => {
                    self.tell(Err(problem));
                    is_last = true;
                }
                Report::Stdout(bytes) => self.sinks[0].push(&bytes).await,
                Report::Stderr(bytes) => self.sinks[1].push(&bytes).await,
                Report::Ended(end) => {
                    self.end = Some(end);
                    is_last = true;
                }
                Report::Frozen => self.source.frozen(),
                Report::File(piece) => self.source.file(piece),
            }
        }
        if is_last {
            self.finish_text().await;
        }
        self.save();
        self.source.take(&found)?;
        if is_last {
            self.source.dismiss().await;
        }
        Ok(is_last)
    }

    async fn finish_text(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            for sink in &mut self.sinks {
                sink.finish_text().await;
            }
            self.save();
        }
    }

    /// Writes the progress. On a full disk it stays behind, and another process would log lines twice.
    fn save(&mut self) {
        let sinks = [self.sinks[0].progress(), self.sinks[1].progress()];
        drop(self.progress.write(&OutputProgress { is_over: self.is_over, sinks }));
    }

    fn tell(&mut self, started: Started) {
        if let Some(receiver) = self.started.take() {
            // A receiver that is gone has given up the start.
            let _unheard = receiver.send(started);
        }
    }
}
