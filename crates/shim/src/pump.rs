//! Output of the command on its way into reports.

use std::os::fd::{AsFd as _, OwnedFd};

use errand_shim::{REPORT_BYTES, Report};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::event::Reports;

/// Makes a report of a piece of output.
type ReportOf = fn(Vec<u8>) -> Report;

/// Reports what both pipes have, until both are at their end. Waits while no process reads the reports.
pub(super) fn report_output(stdout: Option<OwnedFd>, stderr: Option<OwnedFd>, reports: &Reports) {
    let pipes: [(Option<OwnedFd>, ReportOf); 2] =
        [(stdout, Report::Stdout), (stderr, Report::Stderr)];
    let mut open: Vec<(OwnedFd, ReportOf)> =
        pipes.into_iter().filter_map(|(pipe, report)| Some((pipe?, report))).collect();
    let mut buffer = vec![0; REPORT_BYTES];
    while !open.is_empty() {
        let mut polled: Vec<PollFd<'_>> = open
            .iter()
            .map(|(pipe, _)| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN))
            .collect();
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let ready: Vec<bool> = polled.iter().map(|pipe| !pipe.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        open.retain(|(pipe, report)| {
            !ready.next().unwrap_or_default() || report_piece(pipe, *report, &mut buffer, reports)
        });
    }
}

/// Reports the next piece of a pipe. Returns false at the end of the pipe.
fn report_piece(pipe: &OwnedFd, report: ReportOf, buffer: &mut [u8], reports: &Reports) -> bool {
    match rustix::io::read(pipe, &mut *buffer) {
        Ok(0) => false,
        Ok(count) => reports.send(&report(buffer[..count].to_vec())).is_ok(),
        Err(error) => error == Errno::INTR,
    }
}
