//! Freezes and thaws all processes of a run.
//!
//! A process may fork just before it stops. Therefore a run counts as frozen only after two
//! searches in a row that find no process that could still run.

use std::collections::BTreeSet;
use std::io;

use errand_model::{ProcessIdentity, RunId};

use super::identity::may_run;
use super::signal::{Signal, signal};
use super::tree::{Roots, processes_of_run};

/// Number of searches before freezing fails because processes fork faster than they are stopped.
const LOOKS: usize = 500;
/// Number of searches in a row that must find no running process.
const CLEAN_LOOKS: usize = 2;

/// Stops every process of the run, also those that left their leader's tree. Returns once none of
/// them executes anything.
///
/// # Errors
///
/// `TimedOut` if some continue to run: they belong to another user, or fork faster than they are
/// stopped.
pub(crate) fn freeze_run(run_id: &RunId, roots: &Roots<'_>) -> io::Result<()> {
    let mut told = BTreeSet::new();
    let mut clean = 0;
    for _ in 0..LOOKS {
        let mut is_clean = true;
        for process in processes_of_run(run_id, roots) {
            if !told.contains(&process.pid) || may_run(&process) {
                is_clean = false;
                // A process that cannot be signalled does not prevent the others from being
                // stopped.
                drop(signal(&process, Signal::Stop));
                told.insert(process.pid);
            }
        }
        clean = if is_clean { clean + 1 } else { 0 };
        if clean == CLEAN_LOOKS {
            return Ok(());
        }
        if !is_clean {
            std::thread::yield_now();
        }
    }
    let text = format!("some processes of run {run_id} do not stop");
    Err(io::Error::new(io::ErrorKind::TimedOut, text))
}

/// Continues every process of the run.
pub(crate) fn thaw_run(run_id: &RunId, roots: &Roots<'_>) {
    for process in processes_of_run(run_id, roots) {
        // A process that ended meanwhile needs no signal.
        drop(signal(&process, Signal::Continue));
    }
}

/// Returns whether no process of the run executes anything: all are stopped, or none is there.
pub fn is_run_frozen(run_id: &RunId, supervisor: &ProcessIdentity) -> bool {
    let supervisor = Some(supervisor.pid);
    let roots = Roots { supervisor, known: &[], oldest_ticks: 0, last_attempt: None };
    !processes_of_run(run_id, &roots).iter().any(may_run)
}
