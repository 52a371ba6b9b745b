//! Linux: `/proc`, pidfds, subreapers, inotify.

pub(super) mod alarm;
mod children;
pub(super) mod clock;
pub(super) mod confine;
pub(super) mod end;
pub(super) mod footprint;
pub(super) mod fork;
pub(super) mod freeze;
pub(super) mod gone;
pub(super) mod helper;
pub(super) mod identity;
pub(super) mod memory;
pub(super) mod orphans;
pub(super) mod readable;
pub(super) mod signal;
pub(super) mod spawn;
mod stat;
pub(super) mod title;
pub(super) mod tree;
pub(super) mod trim;
pub(super) mod watch;
