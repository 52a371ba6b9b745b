//! Mode of files that errand creates.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;

/// Mode of a file that its owner alone reads: inputs, outputs and conversations of agents.
pub(crate) const PRIVATE_FILE: u32 = 0o600;

/// Options that create files for their owner alone, whatever the umask.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(PRIVATE_FILE);
    options
}
