//! The only module that is specific to an operating system.
//!
//! Everything here is re-exported from `linux`; another system gets a sibling with the same names.
//! No other module of the crate has `unsafe` code.

mod linux;

pub use linux::alarm::{until_due, until_wall_clock};
pub use linux::clock::{host_name, since_boot, wall_clock};
pub use linux::end::end_run_processes;
pub use linux::fork::{CopiedHelper, Fork, HelperOutput, LauncherPipe, NoReport, fork};
pub use linux::freeze::is_run_frozen;
pub use linux::gone::until_gone;
pub use linux::helper::{Helper, StartedHelper, detach};
pub use linux::identity::{Liveness, identity_of, liveness, own_identity, pid_and_group};
pub use linux::orphans::{adopt_orphans, reap_orphans};
pub use linux::readable::is_readable_by;
pub use linux::signal::{Signal, SignalDelivery, ignores_hang_up, signal};
pub use linux::title::show_as_helper;
pub use linux::tree::descendants_of_run;
pub use linux::trim::{release_code, use_one_arena};
/// Waiting for changes of a file.
pub mod watch {
    pub use super::linux::watch::Watch;
}

pub(crate) use linux::clock::wall_clock_precise;
pub(crate) use linux::confine::{
    Confinement, ConfinementPart, FileRights, FileView, OwnNetwork, RefusedPart, UserMap, ViewStep,
};
pub(crate) use linux::end::Signalled;
pub(crate) use linux::footprint::{exact_memory, memory_bound};
pub(crate) use linux::freeze::{freeze_run, thaw_run};
pub(crate) use linux::identity::identity_of_child;
pub(crate) use linux::identity::process_group_of;
pub(crate) use linux::memory::readable_copy;
pub(crate) use linux::orphans::{reap_leader, release_leader, supervise};
pub(crate) use linux::readable::{Readable, readable};
pub(crate) use linux::signal::{pin, signal_group};
pub(crate) use linux::spawn::{
    Launch, LaunchError, Launched, Lifetime, above_stdio, c_string, environment, launch,
    try_confinement,
};
pub(crate) use linux::tree::{Roots, below_leader, leftovers_of, processes_of_run};
