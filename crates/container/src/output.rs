//! Reports of the shim on their way to the receivers of an agent's output.

use std::sync::Arc;
use std::time::Duration;

use errand_agent::target::{AgentOutput, Kept, OutputSink, Stdout};
use errand_shim::{CommandEnd, Order, Report, ReportReader, StartProblem};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::control::OrderPipe;

/// Bytes read from the pipe at once.
const READ_BYTES: usize = 64 * 1_024;
/// Time without output after which text without a newline (a question, a progress line) is logged.
const QUIET: Duration = Duration::from_millis(50);
/// Time that a dismissed shim has to exit.
const EXIT_LIMIT: Duration = Duration::from_secs(2);

/// Everything that a container reported.
#[derive(Debug)]
pub(crate) struct Reported {
    /// End of the command; `None` if the container ended without a report.
    pub(crate) end: Option<CommandEnd>,
    pub(crate) stdout: Stdout,
    pub(crate) stderr_tail: Option<String>,
}

/// Start of the command, as the shim reports it.
pub(crate) type Started = Result<(), StartProblem>;

/// Pump of reports into sinks.
#[derive(Debug)]
pub(crate) struct ReportPump {
    reports: Receiver,
    orders: Arc<OrderPipe>,
    started: Option<oneshot::Sender<Started>>,
    stdout: OutputSink,
    stderr: OutputSink,
    end: Option<CommandEnd>,
}

impl ReportPump {
    /// Creates a pump; `started` gets the start of the command.
    pub(crate) fn new(
        reports: Receiver,
        orders: Arc<OrderPipe>,
        started: oneshot::Sender<Started>,
        output: AgentOutput,
    ) -> Self {
        let (stdout, stderr) = (OutputSink::stdout(output.clone()), OutputSink::stderr(output));
        Self { reports, orders, started: Some(started), stdout, stderr, end: None }
    }

    /// Forwards all reports until the container has ended.
    pub(crate) async fn run(mut self) -> Reported {
        self.forward().await;
        let stdout = match self.stdout.finish().await {
            Kept::Stdout(stdout) => stdout,
            Kept::StderrTail(_) => Stdout::Memory(Vec::new()),
        };
        let stderr_tail = match self.stderr.finish().await {
            Kept::StderrTail(tail) => tail,
            Kept::Stdout(_) => None,
        };
        Reported { end: self.end, stdout, stderr_tail }
    }

    async fn forward(&mut self) {
        let mut reader = ReportReader::default();
        let mut buffer = Vec::with_capacity(READ_BYTES);
        let mut exits_by = None;
        loop {
            buffer.clear();
            let quiet_at = Instant::now() + QUIET;
            let has_tail = self.stdout.has_unfinished_line() || self.stderr.has_unfinished_line();
            tokio::select! {
                biased;
                read = self.reports.read_buf(&mut buffer) => match read {
                    // No process of the container has the pipe any more.
                    Ok(0) | Err(_) => return,
                    Ok(_) => reader.push(&buffer),
                },
                () = tokio::time::sleep_until(quiet_at), if has_tail => {
                    self.stdout.flush();
                    self.stderr.flush();
                }
                () = until(exits_by), if exits_by.is_some() => return,
            }
            loop {
                match reader.next_report() {
                    Ok(Some(report)) => {
                        if self.take(report).await {
                            exits_by = Some(Instant::now() + EXIT_LIMIT);
                        }
                    }
                    Ok(None) => break,
                    // The agent wrote into the pipe: what follows cannot be read.
                    Err(_) => return,
                }
            }
        }
    }

    /// Takes a report. Returns true if it is the last one.
    async fn take(&mut self, report: Report) -> bool {
        match report {
            Report::Started => self.tell(Ok(())),
            Report::NotStarted(problem) => {
                self.tell(Err(problem));
                self.dismiss().await;
                return true;
            }
            Report::Stdout(bytes) => self.stdout.push(&bytes).await,
            Report::Stderr(bytes) => self.stderr.push(&bytes).await,
            Report::Ended(end) => {
                self.end = Some(end);
                self.dismiss().await;
                return true;
            }
        }
        false
    }

    fn tell(&mut self, started: Started) {
        if let Some(receiver) = self.started.take() {
            // A receiver that is gone has given up the start.
            let _unheard = receiver.send(started);
        }
    }

    /// Lets the shim exit.
    async fn dismiss(&self) {
        // A broken pipe means that it has.
        drop(self.orders.send(&Order::Dismiss).await);
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
