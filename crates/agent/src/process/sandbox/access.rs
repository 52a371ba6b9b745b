//! Rights of an agent in a sandbox to the files that it sees, as Landlock enforces them: the same as
//! its mounts give it, a second time, and no signal or trace to a process outside.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope,
};

use super::paths::{Seen, SeenPaths};
use super::unavailable;
use crate::os;
use crate::target::TargetStartError;

/// Version of Landlock that keeps an agent from signalling processes outside, which Linux 6.12 has.
const NEEDED: ABI = ABI::V6;

/// Returns a ruleset that allows nothing.
pub(super) fn ruleset() -> Result<OwnedFd, TargetStartError> {
    let made = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEEDED)))
        .and_then(Ruleset::create);
    let made = made.map_err(|error| error.to_string());
    let ruleset = made.and_then(|ruleset| {
        Option::<OwnedFd>::from(ruleset).ok_or_else(|| "Landlock is switched off".to_owned())
    });
    ruleset.map_err(|reason| {
        unavailable(format!(
            "the kernel cannot restrict an agent to its files: Linux 6.12 with Landlock is needed \
             ({reason})"
        ))
    })
}

/// Returns the rights for each path of a view.
pub(super) fn rules(seen: &SeenPaths) -> std::io::Result<Vec<(CString, u64)>> {
    let all = AccessFs::from_all(NEEDED).bits();
    let read = AccessFs::from_read(NEEDED).bits();
    let listed = AccessFs::ReadDir.into();
    let device = (AccessFs::from_file(NEEDED) & !AccessFs::Execute).bits();
    let mut rules = vec![(CString::from(c"/dev"), device | read)];
    if !seen.has_all() {
        rules.push((CString::from(c"/"), landlock::BitFlags::bits(listed)));
    }
    for (path, what) in seen.iter() {
        let allowed = match what {
            Seen::Read => read,
            Seen::Write | Seen::Private(_) => all,
            Seen::Hidden => continue,
        };
        let is_folder = what.source(path).is_dir();
        let allowed =
            if is_folder { allowed } else { allowed & AccessFs::from_file(NEEDED).bits() };
        rules.push((os::c_string(path.as_os_str())?, allowed));
    }
    Ok(rules)
}
