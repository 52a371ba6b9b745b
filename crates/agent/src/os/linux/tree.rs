//! Search for the processes that belong to a run.
//!
//! Ancestry finds processes below the leader, and those that this process adopted. The mark that
//! every attempt has in its environment finds processes that init or another process adopted after
//! a supervisor's death. A nested detached run is separate: its helper and all processes below it
//! are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;

use errand_model::{ProcessIdentity, RunId};

use super::children::{children_of, pids};
use super::identity::identity;
use super::orphans;
use super::stat::{self, Stat};

/// Environment variable with the run of a process.
const RUN_MARK: &[u8] = b"ERRAND_RUN_ID=";
/// Environment variable with the attempt of a process.
const ATTEMPT_MARK: &[u8] = b"ERRAND_ATTEMPT=";
/// Environment variable with the run that a helper supervises.
pub(super) const HELPER_MARK: &[u8] = b"ERRAND_HELPER=";
/// Upper bound of the bytes read from an environment; the kernel allows about 6 MiB.
const ENVIRONMENT_BYTES: u64 = 8 * 1_024 * 1_024;

/// Maximum number of searches while processes keep ending and forking.
const LOOKS: usize = 1_000;

/// Relation of a process to the requested run, from its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The process belongs to the requested run.
    Ours,
    /// The process supervises the requested run.
    Helper,
    /// The process supervises another run.
    ForeignHelper,
    /// The process belongs to another run.
    Foreign,
    /// The environment has no mark, or cannot be read.
    None,
}

/// Returns all living processes of the run, in no order.
///
/// With `supervisor` (the process that adopts the run's orphans), orphans without a mark are found
/// too, as far as they can be distinguished from those of other runs. The result never has the
/// supervisor, the calling process, or a zombie.
pub fn descendants_of_run(run_id: &RunId, supervisor: Option<u32>) -> Vec<ProcessIdentity> {
    processes_of_run(run_id, &Roots { supervisor, known: &[], oldest_ticks: 0, last_attempt: None })
}

/// Starting points of a search for a run's processes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roots<'a> {
    /// Process that adopts the run's orphans.
    pub(crate) supervisor: Option<u32>,
    /// Processes that certainly belong to the run; the caller has checked that.
    pub(crate) known: &'a [u32],
    /// Start time, in ticks since boot, of the oldest process that can belong to the run.
    pub(crate) oldest_ticks: u64,
    /// Last attempt whose processes are included; a later attempt has another supervisor.
    pub(crate) last_attempt: Option<u32>,
}

/// Returns all living processes of the run, as [`descendants_of_run`], from given roots.
pub(crate) fn processes_of_run(run_id: &RunId, roots: &Roots<'_>) -> Vec<ProcessIdentity> {
    let _still = orphans::hold_spawning();
    let own = std::process::id();
    let mut table = processes(roots.oldest_ticks);
    table.retain(|_, process| !process.is_dead);
    let mut environment = Vec::new();
    let marks: BTreeMap<u32, Mark> = table
        .keys()
        .map(|&pid| (pid, mark_of(pid, run_id, &mut environment, roots.last_attempt)))
        .collect();
    let mut found: BTreeSet<u32> = roots.known.iter().copied().collect();
    found.extend(marks.iter().filter(|(_, mark)| **mark == Mark::Ours).map(|(pid, _)| *pid));
    if let Some(supervisor) = roots.supervisor {
        let sessions: BTreeSet<u32> =
            found.iter().filter_map(|pid| table.get(pid)).map(|found| found.session).collect();
        let orphans = table.values().filter(|process| {
            process.parent == supervisor
                && marks.get(&process.pid) == Some(&Mark::None)
                && is_our_orphan(process, supervisor, &sessions)
        });
        let orphans: Vec<u32> = orphans.map(|process| process.pid).collect();
        found.extend(orphans);
    }
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for process in table.values() {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let members = below(found.into_iter().collect(), |pid| {
        if marks.get(&pid) == Some(&Mark::ForeignHelper) {
            return None;
        }
        Some(children.get(&pid).cloned().unwrap_or_default())
    });
    members
        .into_iter()
        .filter(|pid| *pid != own && Some(*pid) != roots.supervisor)
        .filter(|pid| marks.get(pid) != Some(&Mark::Helper))
        .filter_map(|pid| table.get(&pid))
        .filter_map(|process| identity(process).ok())
        .collect()
}

/// Returns true if a child of the supervisor without a mark is an orphan of the run.
fn is_our_orphan(process: &Stat, supervisor: u32, sessions: &BTreeSet<u32>) -> bool {
    if sessions.contains(&process.session) {
        return true;
    }
    let own = std::process::id();
    // With only one supervised run, the orphan can only be that run's. A child that has not yet
    // executed its program still has this process's program file.
    supervisor == own
        && orphans::supervised_count() == 1
        && !orphans::is_supervised(process.pid)
        && stat::read(own).is_ok_and(|own| own.is_some_and(|own| own.session != process.session))
        && orphans::program_of(process.pid) != orphans::program_of(own)
}

/// Returns living processes that an ended leader left behind. Cheap: they are below the leader or
/// were adopted by this process, and only its children are searched.
pub(crate) fn leftovers_of(leader: u32, run_id: &RunId) -> Vec<ProcessIdentity> {
    for _ in 0..LOOKS {
        match look_for_leftovers(leader, run_id) {
            Look::Settled(living) => return living,
            Look::Changing => {
                orphans::reap_orphans();
            }
        }
    }
    Vec::new()
}

enum Look {
    Settled(Vec<ProcessIdentity>),
    /// No living process was found, but one had ended, and may have forked just before.
    Changing,
}

fn look_for_leftovers(leader: u32, run_id: &RunId) -> Look {
    let own = std::process::id();
    let (own_session, candidates) = {
        let _still = orphans::hold_spawning();
        let own_session = stat::read(own).ok().flatten().map(|found| found.session);
        let all = children_of(own).into_iter();
        (own_session, all.filter(|pid| !orphans::is_supervised(*pid)).collect::<Vec<u32>>())
    };
    if candidates.is_empty() && children_of(leader).is_empty() {
        return Look::Settled(Vec::new());
    }
    let sessions = BTreeSet::from([leader]);
    let mut environment = Vec::new();
    let mut roots = vec![leader];
    let mut has_ended = false;
    for pid in candidates {
        let Some(process) = stat::read(pid).ok().flatten() else {
            has_ended = true;
            continue;
        };
        if process.is_dead {
            has_ended |= Some(process.session) != own_session;
            continue;
        }
        let is_ours = match mark_of(pid, run_id, &mut environment, None) {
            Mark::Ours => true,
            Mark::Helper | Mark::ForeignHelper | Mark::Foreign => false,
            Mark::None => is_our_orphan(&process, own, &sessions),
        };
        if is_ours {
            roots.push(pid);
        }
    }
    let members = below(roots, |pid| {
        let mark = mark_of(pid, run_id, &mut environment, None);
        (mark != Mark::ForeignHelper).then(|| children_of(pid))
    });
    // Members that lived a moment ago may have forked before they ended, too.
    has_ended |= members.len() > 1;
    let living: Vec<ProcessIdentity> = members
        .into_iter()
        .filter(|pid| *pid != leader && *pid != own)
        .filter_map(|pid| stat::read(pid).ok().flatten())
        .filter(|process| !process.is_dead)
        .filter_map(|process| identity(&process).ok())
        .collect();
    if living.is_empty() && has_ended { Look::Changing } else { Look::Settled(living) }
}

/// Returns `roots` and all processes below them. Where `children` returns `None`, the process and
/// its subtree are left out.
fn below(mut roots: Vec<u32>, mut children: impl FnMut(u32) -> Option<Vec<u32>>) -> BTreeSet<u32> {
    let mut members = BTreeSet::new();
    while let Some(pid) = roots.pop() {
        if members.contains(&pid) {
            continue;
        }
        if let Some(children) = children(pid) {
            members.insert(pid);
            roots.extend(children);
        }
    }
    members
}

/// Returns every process that did not start before `oldest_ticks`, by pid.
fn processes(oldest_ticks: u64) -> BTreeMap<u32, Stat> {
    pids()
        .filter_map(|pid| stat::read(pid).ok().flatten())
        .filter(|process| process.start_ticks >= oldest_ticks)
        .map(|process| (process.pid, process))
        .collect()
}

/// Returns the leader of an attempt and all processes below it, including dead ones. Cheap: no
/// other process is read. Processes that left the tree are not found.
pub(crate) fn below_leader(leader: u32) -> Vec<u32> {
    below(vec![leader], |pid| Some(children_of(pid))).into_iter().collect()
}

fn mark_of(pid: u32, run_id: &RunId, environment: &mut Vec<u8>, last_attempt: Option<u32>) -> Mark {
    environment.clear();
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(ENVIRONMENT_BYTES).read_to_end(environment));
    if read.is_err() {
        return Mark::None;
    }
    let value_of = |name: &[u8]| {
        environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(name))
    };
    let is_this = |value: &[u8]| value == run_id.as_str().as_bytes();
    match (value_of(HELPER_MARK).map(is_this), value_of(RUN_MARK).map(is_this)) {
        (Some(true), _) => Mark::Helper,
        (Some(false), _) => Mark::ForeignHelper,
        (None, Some(true)) => {
            let attempt = value_of(ATTEMPT_MARK).and_then(|value| str::from_utf8(value).ok());
            let attempt: Option<u32> = attempt.and_then(|attempt| attempt.parse().ok());
            let is_later = last_attempt.zip(attempt).is_some_and(|(last, attempt)| attempt > last);
            if is_later { Mark::Foreign } else { Mark::Ours }
        }
        (None, Some(false)) => Mark::Foreign,
        (None, None) => Mark::None,
    }
}
