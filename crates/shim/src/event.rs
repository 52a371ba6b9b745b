//! Events of the first process, and its reports.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use errand_shim::{Order, Report};
use rustix::process::Signal;

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
}

/// A process that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reaped {
    pub(super) pid: u32,
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
}

/// Pipe of reports; reports of several threads do not mix.
#[derive(Clone, Debug)]
pub(super) struct Reports(Arc<Mutex<File>>);

impl Reports {
    pub(super) fn new(pipe: File) -> Self {
        Self(Arc::new(Mutex::new(pipe)))
    }

    /// Writes a report; waits while the pipe is full. A pipe that this process reads too is never
    /// broken, so a failure is one of the whole machine.
    pub(super) fn send(&self, report: &Report) -> io::Result<()> {
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pipe.write_all(&report.encode())
    }
}
