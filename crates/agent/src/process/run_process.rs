//! All processes of one attempt: its leader, and everything that descends from it.

use std::io;

use errand_model::{ProcessIdentity, RunId};

use crate::os::{self, Launched, Roots, Signal};

/// Leader of an attempt, from which the attempt's processes are found.
#[derive(Debug)]
pub(super) struct RunProcess {
    run_id: RunId,
    attempt: u32,
    identity: ProcessIdentity,
}

impl RunProcess {
    /// Returns the leader just launched, and its pidfd; kills a leader that cannot be watched.
    pub(super) fn new(
        (run_id, attempt): (RunId, u32),
        launched: Launched,
    ) -> io::Result<(Self, os::Readable)> {
        let pid = launched.pid;
        let parts = os::readable(launched.pidfd)
            .and_then(|leader| Ok((leader, os::identity_of_child(pid)?)));
        match parts {
            Ok((leader, identity)) => Ok((Self { run_id, attempt, identity }, leader)),
            Err(error) => {
                let _told = os::signal_group(pid, Signal::Kill);
                os::release_leader(pid);
                Err(error)
            }
        }
    }

    pub(super) fn run_id(&self) -> &RunId {
        &self.run_id
    }

    pub(super) fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    /// Returns the pid of the leader, which is also that of its group and session.
    pub(super) fn leader(&self) -> u32 {
        self.identity.pid
    }

    /// Returns all living processes of the attempt, also those outside of the leader's tree.
    pub(super) fn members(&self) -> Vec<ProcessIdentity> {
        os::processes_of_run(&self.run_id, &self.roots(&[self.leader()]))
    }

    /// Returns the living processes of the attempt, whose leader has ended.
    pub(super) fn left_behind(&self) -> Vec<ProcessIdentity> {
        os::leftovers_of(self.leader(), &self.run_id)
    }

    /// Freezes all processes. The leader must not be reaped meanwhile.
    pub(super) fn freeze(&self) -> io::Result<()> {
        os::freeze_run(&self.run_id, &self.roots(&[self.leader()]))
    }

    /// Continues all processes. The leader must not be reaped meanwhile.
    pub(super) fn thaw(&self) {
        os::thaw_run(&self.run_id, &self.roots(&[self.leader()]));
    }

    /// Sends SIGKILL to the group only: fast, but misses processes that left it.
    pub(super) fn kill_group(&self) {
        let _told = os::signal_group(self.leader(), Signal::Kill);
    }

    /// Sends a signal to the group and to the processes of the run that have left it. A process
    /// that cannot be signalled does not prevent the others from getting it; the next search finds
    /// it again. Returns the processes found outside of the group.
    pub(super) fn tell(&self, signal: Signal) -> Vec<ProcessIdentity> {
        let mut signals = vec![signal];
        if signal == Signal::Terminate {
            // A stopped process receives SIGTERM only once it continues.
            signals.push(Signal::Continue);
        }
        for &signal in &signals {
            let _told = os::signal_group(self.leader(), signal);
        }
        let mut found = self.members();
        found.retain(|process| !self.is_in_group(process));
        for process in &found {
            for &signal in &signals {
                let _told = os::signal(process, signal);
            }
        }
        found
    }

    /// Asks processes of `left` to end that are neither in the group nor among `told`.
    pub(super) fn tell_missed(&self, left: &[ProcessIdentity], told: &[ProcessIdentity]) {
        for process in left.iter().filter(|it| !self.is_in_group(it) && !told.contains(it)) {
            for signal in [Signal::Terminate, Signal::Continue] {
                let _told = os::signal(process, signal);
            }
        }
    }

    fn is_in_group(&self, process: &ProcessIdentity) -> bool {
        os::process_group_of(process.pid) == Some(self.leader())
    }

    fn roots<'a>(&self, known: &'a [u32]) -> Roots<'a> {
        Roots {
            supervisor: Some(std::process::id()),
            known,
            oldest_ticks: self.identity.start_ticks,
            last_attempt: Some(self.attempt),
        }
    }
}
