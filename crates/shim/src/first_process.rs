//! The first process of a container, from its order to its last report.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use errand_shim::{CommandEnd, LaunchOrder, Order, Report, StartProblem, file};
use rustix::process::Signal;

use super::command::{self, Running};
use super::event::{Arrival, Reports};
use super::processes::{self, ENDED_BY_SIGNAL};
use super::{control_group, inside, pump};

/// Time for which processes left behind may outlive the command before they are ended.
const LEAK_GRACE: Duration = Duration::from_millis(200);
/// Time between SIGTERM and SIGKILL for processes left behind.
const STRAGGLER_GRACE: Duration = Duration::from_secs(1);

/// Runs the container's command. Returns its exit code.
pub(super) fn run() -> ExitCode {
    match supervise(Path::new(file::CONTROL)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => inside::refuse(&format!("the container's command cannot be run: {error}")),
    }
}

fn supervise(control: &Path) -> io::Result<u8> {
    let mut orders = shared_pipe(&control.join(file::ORDERS))?;
    let reports = Reports::new(shared_pipe(&control.join(file::REPORTS))?);
    let (arrive, arrivals) = mpsc::channel();
    forward_signals(arrive.clone())?;
    let order = loop {
        match Order::read(&mut orders)? {
            Order::Launch(order) => break order,
            // Asked to end before the command began.
            Order::Signal(_) => return Ok(ENDED_BY_SIGNAL),
            Order::Dismiss | Order::Freeze | Order::Thaw => {}
        }
    };
    let from_errand = arrive.clone();
    thread::spawn(move || read_orders(&mut orders, &from_errand));
    let supervisor = Supervisor { control: control.to_owned(), reports, arrivals };
    supervisor.carry_out(&order, &arrive, || ())
}

/// Opens a pipe for both directions: it is at no end while this process lives, so it keeps its bytes
/// while errand's process is replaced.
fn shared_pipe(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Receives signals for the rest of the process's life.
pub(super) fn forward_signals(arrive: Sender<Arrival>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    let asking = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];
    let mut signals = signal_hook::iterator::Signals::new(asking)?;
    thread::spawn(move || {
        for number in signals.forever() {
            if let Some(signal) = processes::signal(number)
                && arrive.send(Arrival::Asked(signal)).is_err()
            {
                return;
            }
        }
    });
    Ok(())
}

fn read_orders(orders: &mut File, arrive: &Sender<Arrival>) {
    while let Ok(order) = Order::read(orders) {
        if arrive.send(Arrival::Order(order)).is_err() {
            return;
        }
    }
    // The receiver is gone if the command has ended.
    drop(arrive.send(Arrival::OrdersClosed));
}

/// Control folder, reports and events of the first process.
pub(super) struct Supervisor {
    pub(super) control: PathBuf,
    pub(super) reports: Reports,
    pub(super) arrivals: Receiver<Arrival>,
}

impl Supervisor {
    /// Starts the command and waits for its end; then calls `before_end`, and sends the last report.
    /// Returns the exit code of this process.
    pub(super) fn carry_out(
        &self,
        order: &LaunchOrder,
        arrive: &Sender<Arrival>,
        before_end: impl FnOnce(),
    ) -> io::Result<u8> {
        let (end, dismissal) = match self.start(order, arrive) {
            Ok(running) => self.watch(running)?,
            Err(problem) => return self.refuse(problem),
        };
        before_end();
        self.last(&Report::Ended(end), dismissal)?;
        Ok(processes::exit_code(end.code, end.signal))
    }

    /// Reports that the command was not started. Returns the exit code of this process.
    pub(super) fn refuse(&self, problem: StartProblem) -> io::Result<u8> {
        self.last(&Report::NotStarted(problem), Dismissal::Awaited)?;
        Ok(command::exit_code_of(problem))
    }

    fn start(
        &self,
        order: &LaunchOrder,
        arrive: &Sender<Arrival>,
    ) -> Result<Running, StartProblem> {
        let running = command::start(order, &self.control)?;
        // Without this file errand sends the order again, which is ignored.
        drop(File::create(self.control.join(file::STARTED)));
        let failed = |error: io::Error| StartProblem::Program(error.raw_os_error().unwrap_or(0));
        self.reports.send(&Report::Started).map_err(failed)?;
        let (reports, printed) = (self.reports.clone(), arrive.clone());
        let (stdout, stderr) = (running.stdout, running.stderr);
        thread::spawn(move || {
            pump::report_output(stdout, stderr, &reports);
            drop(printed.send(Arrival::Printed));
        });
        let reaped = arrive.clone();
        thread::spawn(move || processes::reap(&reaped));
        Ok(Running { stdout: None, stderr: None, ..running })
    }

    /// Waits for the end of the command and of everything that it started.
    fn watch(&self, running: Running) -> io::Result<(CommandEnd, Dismissal)> {
        let mut ending = Ending::of(running);
        loop {
            let arrival = match ending.next_at {
                None => self.arrivals.recv().map_err(io::Error::other)?,
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    match self.arrivals.recv_timeout(left) {
                        Ok(arrival) => arrival,
                        Err(RecvTimeoutError::Timeout) => {
                            ending.end_stragglers();
                            continue;
                        }
                        Err(error) => return Err(io::Error::other(error)),
                    }
                }
            };
            match &arrival {
                Arrival::Order(Order::Freeze) => {
                    processes::signal_all(Signal::STOP);
                    self.reports.send(&Report::Frozen)?;
                }
                Arrival::Order(Order::Thaw) => processes::signal_all(Signal::CONT),
                Arrival::Order(Order::Launch(_) | Order::Signal(_) | Order::Dismiss)
                | Arrival::OrdersClosed
                | Arrival::Reaped(_)
                | Arrival::Alone
                | Arrival::Printed
                | Arrival::Asked(_)
                | Arrival::Refused
                | Arrival::Unwritten(_) => {}
            }
            if let Some(end) = ending.take(&arrival) {
                return Ok((end, ending.dismissal));
            }
        }
    }

    /// Sends the last report, and waits until it was read.
    fn last(&self, report: &Report, dismissal: Dismissal) -> io::Result<()> {
        let (whole, part) = (self.control.join(file::ENDED), self.control.join("ended.part"));
        fs::write(&part, report.encode())?;
        fs::rename(&part, &whole)?;
        self.reports.send(report)?;
        let given_up_at = match dismissal {
            Dismissal::Awaited => None,
            Dismissal::Given => Some(Instant::now() + self.reports.linger()),
        };
        loop {
            let arrival = match given_up_at {
                None => self.arrivals.recv().map_err(io::Error::other)?,
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    match self.arrivals.recv_timeout(left) {
                        Ok(arrival) => arrival,
                        Err(_) => return Ok(()),
                    }
                }
            };
            match arrival {
                Arrival::Order(Order::Dismiss) => return Ok(()),
                Arrival::Asked(_) if self.reports.linger().is_zero() => return Ok(()),
                Arrival::Order(
                    Order::Launch(_) | Order::Signal(_) | Order::Freeze | Order::Thaw,
                )
                | Arrival::OrdersClosed
                | Arrival::Reaped(_)
                | Arrival::Alone
                | Arrival::Printed
                | Arrival::Asked(_)
                | Arrival::Refused
                | Arrival::Unwritten(_) => {}
            }
        }
    }
}

/// Permission to exit once the last report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dismissal {
    /// Errand gives it when it has read the report.
    Awaited,
    /// The engine asked the container to end: errand may be gone for good.
    Given,
}

/// Progress of a command towards its end.
struct Ending {
    running: Running,
    dismissal: Dismissal,
    end: Option<CommandEnd>,
    is_alone: bool,
    is_printed: bool,
    /// Time at which processes that outlive the command are asked to end, and then killed.
    next_at: Option<Instant>,
    /// Signal that they got last.
    sent: Option<Signal>,
    stragglers: u64,
}

impl Ending {
    fn of(running: Running) -> Self {
        Self {
            running,
            dismissal: Dismissal::Awaited,
            end: None,
            is_alone: false,
            is_printed: false,
            next_at: None,
            sent: None,
            stragglers: 0,
        }
    }

    /// Takes an event; returns the end once the command and all output are over.
    fn take(&mut self, arrival: &Arrival) -> Option<CommandEnd> {
        match arrival {
            Arrival::Asked(signal) => {
                self.dismissal = Dismissal::Given;
                processes::signal_all(*signal);
            }
            Arrival::Order(Order::Signal(number)) => {
                if let Some(signal) = processes::signal(*number) {
                    processes::signal_all(signal);
                }
            }
            Arrival::Reaped(reaped) if reaped.pid == self.running.pid => {
                let wall = self.running.started_at.elapsed();
                self.end = Some(CommandEnd {
                    code: reaped.code,
                    signal: reaped.signal,
                    wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
                    ..CommandEnd::default()
                });
                self.next_at = Some(Instant::now() + LEAK_GRACE);
            }
            Arrival::Reaped(_) if self.sent.is_some() => self.stragglers += 1,
            Arrival::Alone => {
                self.is_alone = true;
                self.next_at = None;
            }
            Arrival::Printed => self.is_printed = true,
            Arrival::Reaped(_)
            | Arrival::OrdersClosed
            | Arrival::Refused
            | Arrival::Unwritten(_)
            | Arrival::Order(Order::Launch(_) | Order::Dismiss | Order::Freeze | Order::Thaw) => {}
        }
        let end = self.end.filter(|_| self.is_alone && self.is_printed)?;
        Some(CommandEnd {
            cpu_us: control_group::cpu_us(),
            memory_peak_bytes: control_group::memory_peak_bytes(),
            oom_kills: control_group::oom_kills(),
            stragglers: self.stragglers,
            ..end
        })
    }

    /// Asks processes that outlive the command to end; kills them later.
    fn end_stragglers(&mut self) {
        let signal = if self.sent.is_some() { Signal::KILL } else { Signal::TERM };
        processes::signal_all(signal);
        self.sent = Some(signal);
        self.next_at = Some(Instant::now() + STRAGGLER_GRACE);
    }
}
