//! Events of the first process, and its reports.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use errand_shim::{Order, Report};
use rustix::process::Signal;

use super::outbox::Outbox;

/// Events that the first process waits for.
#[derive(Debug)]
pub(super) enum Arrival {
    /// An order came.
    Order(Order),
    /// No more orders can come.
    OrdersClosed,
    /// A process ended.
    Reaped(Reaped),
    /// No process is left but this one.
    Alone,
    /// All output was reported.
    Printed,
    /// The engine asks the container to end.
    Asked(Signal),
    /// Errand refuses this Pod: another one is that of the attempt.
    Refused,
    /// A file that the command needs cannot be written: number of the error.
    Unwritten(i32),
}

/// A process that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reaped {
    pub(super) pid: u32,
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
}

/// Way of reports to errand; reports of several threads do not mix.
#[derive(Clone, Debug)]
pub(super) enum Reports {
    /// Pipe of a control folder.
    Pipe(Arc<Mutex<File>>),
    /// Connection of a Pod.
    Pod(Arc<Outbox>),
}

/// Time that a Pod which was asked to end has for its last reports.
const LINGER: Duration = Duration::from_secs(5);

impl Reports {
    pub(super) fn new(pipe: File) -> Self {
        Self::Pipe(Arc::new(Mutex::new(pipe)))
    }

    /// Writes a report; waits while there is no room. A pipe that this process reads too is never
    /// broken, so a failure is one of the whole machine.
    pub(super) fn send(&self, report: &Report) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => {
                let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
                pipe.write_all(&report.encode())
            }
            Self::Pod(outbox) => {
                outbox.push(report);
                Ok(())
            }
        }
    }

    /// Returns the time for which a process that was asked to end waits until its last report was
    /// read. A pipe keeps the report without it.
    pub(super) const fn linger(&self) -> Duration {
        match self {
            Self::Pipe(_) => Duration::ZERO,
            Self::Pod(_) => LINGER,
        }
    }
}
