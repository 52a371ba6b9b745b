//! Processes of a container: signals to them, and their ends.

use std::sync::mpsc::Sender;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};

use super::event::{Arrival, Reaped};

/// Exit code of a container that was ended before its command began: that of SIGTERM.
pub(super) const ENDED_BY_SIGNAL: u8 = 128 + 15;
/// Lowest exit code that stands for a signal, as shells count.
const SIGNAL_BASE: i32 = 128;

/// Reaps processes until none is left: the command's, and those that lost their parent.
pub(super) fn reap(arrive: &Sender<Arrival>) {
    loop {
        let arrival = match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => Arrival::Reaped(Reaped {
                pid: u32::try_from(pid.as_raw_nonzero().get()).unwrap_or_default(),
                code: status.exit_status(),
                signal: status.terminating_signal(),
            }),
            Ok(None) | Err(Errno::INTR) => continue,
            Err(_) => {
                drop(arrive.send(Arrival::Alone));
                return;
            }
        };
        if arrive.send(arrival).is_err() {
            return;
        }
    }
}

/// Sends a signal to all processes of the container but this one.
pub(super) fn signal_all(signal: Signal) {
    signal_others(signal);
    if signal == Signal::TERM {
        // A stopped process receives SIGTERM only once it continues.
        signal_others(Signal::CONT);
    }
}

fn signal_others(signal: Signal) {
    // `kill(-1)`: all processes that this one can see, and in a container that is only the container's.
    // An error means that there is no other process.
    let _told = kill_process_group(Pid::INIT, signal);
}

/// Returns true if this is the first process of its container. Anywhere else, signals would reach
/// processes of others.
pub(super) fn is_first() -> bool {
    rustix::process::getpid() == Pid::INIT
}

/// Returns the signal of that number.
pub(super) fn signal(number: i32) -> Option<Signal> {
    Signal::from_named_raw(number)
}

/// Returns the exit code of a container whose command ended like this.
pub(super) fn exit_code(code: Option<i32>, signal: Option<i32>) -> u8 {
    let code = code.unwrap_or_else(|| SIGNAL_BASE + signal.unwrap_or_default());
    u8::try_from(code & 0xff).unwrap_or(u8::MAX)
}
