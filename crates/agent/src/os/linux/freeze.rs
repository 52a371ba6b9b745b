//! Freezing all processes of a run, and letting them go on.
//!
//! A process that is looked at may fork just before it stops: it is over when two looks in a row
//! find nothing that could still run.

use std::collections::BTreeSet;
use std::io;

use errand_model::{ProcessIdentity, RunId};

use super::identity::may_run;
use super::signal::{Signal, signal};
use super::tree::{Roots, processes_of_run};

/// Looks at processes that fork faster than they are stopped, before that is given up.
const LOOKS: usize = 500;
/// Looks in a row that must find nothing that runs.
const CLEAN_LOOKS: usize = 2;

/// Stops every process of the run, however far it went from its leader. Returns once none of them
/// executes anything.
///
/// # Errors
///
/// `TimedOut` if some go on all the same: another user's, or faster than we are.
pub(crate) fn freeze_run(run_id: &RunId, roots: &Roots<'_>) -> io::Result<()> {
    let mut told = BTreeSet::new();
    let mut clean = 0;
    for _ in 0..LOOKS {
        let mut is_clean = true;
        for process in processes_of_run(run_id, roots) {
            if !told.contains(&process.pid) || may_run(&process) {
                is_clean = false;
                // One that may not be signalled does not keep the others from it.
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

/// Lets every process of the run go on.
pub(crate) fn thaw_run(run_id: &RunId, roots: &Roots<'_>) {
    for process in processes_of_run(run_id, roots) {
        // One that is gone meanwhile needs no signal.
        drop(signal(&process, Signal::Continue));
    }
}

/// Returns whether no process of the run executes anything: all are stopped, or none is there.
pub fn is_run_frozen(run_id: &RunId, supervisor: &ProcessIdentity) -> bool {
    let supervisor = Some(supervisor.pid);
    let roots = Roots { supervisor, known: &[], oldest_ticks: 0, last_attempt: None };
    !processes_of_run(run_id, &roots).iter().any(may_run)
}
