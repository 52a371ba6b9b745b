//! System calls that no agent in a sandbox needs, and that are refused: those that change the machine,
//! leave the sandbox, or reach much of the kernel that others have attacked.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::unavailable;
use crate::target::TargetStartError;

/// Calls that are refused as not permitted.
const NOT_PERMITTED: &[libc::c_long] = &[
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Other namespaces.
    libc::SYS_setns,
    // The kernel and the machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // Large parts of the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    // Files by their numbers, past all paths.
    libc::SYS_open_by_handle_at,
];

/// Calls of x86 processors that are refused as not permitted.
#[cfg(target_arch = "x86_64")]
const OF_PROCESSOR: &[libc::c_long] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_kexec_file_load];
/// Calls of this processor that are refused as not permitted.
#[cfg(not(target_arch = "x86_64"))]
const OF_PROCESSOR: &[libc::c_long] = &[];

/// Calls that look as if the kernel did not have them, so that programs use older ones: those whose
/// arguments no filter can read.
const NOT_THERE: &[libc::c_long] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter];

/// Flags of clone and unshare that make namespaces.
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
    CLONE_NEWTIME,
];
/// Flag of a time namespace.
const CLONE_NEWTIME: libc::c_int = 0x80;

/// Requests of ioctl that write into a terminal as if a person typed.
const TYPING: &[u64] = &[libc::TIOCSTI, libc::TIOCLINUX];

/// Returns the programs for seccomp.
pub(super) fn programs() -> Result<Vec<BpfProgram>, TargetStartError> {
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
        NOT_PERMITTED.iter().chain(OF_PROCESSOR).map(|call| (*call, Vec::new())).collect();
    let namespaces = NAMESPACES.iter().map(|flag| u64::from(flag.cast_unsigned()));
    let namespaces: Vec<(u8, SeccompCmpOp, u64)> =
        namespaces.map(|flag| (0, SeccompCmpOp::MaskedEq(flag), flag)).collect();
    refused.insert(libc::SYS_clone, rules(&namespaces)?);
    refused.insert(libc::SYS_unshare, rules(&namespaces)?);
    let typing: Vec<_> = TYPING.iter().map(|request| (1, SeccompCmpOp::Eq, *request)).collect();
    refused.insert(libc::SYS_ioctl, rules(&typing)?);
    let missing = NOT_THERE.iter().map(|call| (*call, Vec::new())).collect();
    Ok(vec![program(refused, libc::EPERM)?, program(missing, libc::ENOSYS)?])
}

/// Returns a rule for each condition about an argument.
fn rules(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<Vec<SeccompRule>, TargetStartError> {
    let rule = |(argument, comparison, value): &(u8, SeccompCmpOp, u64)| {
        let length = SeccompCmpArgLen::Dword;
        let condition = SeccompCondition::new(*argument, length, comparison.clone(), *value);
        SeccompRule::new(vec![condition.map_err(|error| unsupported(&error))?])
            .map_err(|error| unsupported(&error))
    };
    conditions.iter().map(rule).collect()
}

/// Returns a program that refuses these calls with an error, and allows all others.
fn program(
    calls: BTreeMap<i64, Vec<SeccompRule>>,
    errno: libc::c_int,
) -> Result<BpfProgram, TargetStartError> {
    let architecture =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|error| unsupported(&error))?;
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refuse, architecture);
    let filter = filter.map_err(|error| unsupported(&error))?;
    BpfProgram::try_from(filter).map_err(|error| unsupported(&error))
}

fn unsupported(error: &dyn std::fmt::Display) -> TargetStartError {
    unavailable(format!("no filter of system calls can be made for this machine: {error}"))
}
