//! What verifying finds.

use std::fmt;
use std::path::PathBuf;

use errand_model::{Digest, RunId, Tampered};

/// What was verified, and all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which run.
    pub run_id: RunId,
    /// How many events hold, from the first on.
    pub events: u64,
    /// Whether the run is over: nothing can be cut off at the end unnoticed.
    pub is_sealed: bool,
    /// The hash of the last event that holds.
    pub hash: String,
    /// How many runs that it started were verified with it: those of an export.
    pub children: u64,
    /// What is wrong: at most one event a place, the first one; empty if all is what was written.
    pub findings: Vec<Finding>,
}

/// One thing that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

/// Where something is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The registry's database.
    Registry,
    /// A file of the registry.
    File(PathBuf),
    /// An exported file, and what in it.
    Export(String),
}

impl Place {
    /// The word for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::File(_) => "file",
            Self::Export(_) => "export",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry => f.write_str("in the registry"),
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Export(entry) => write!(f, "in {entry} of the export"),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// An event is not what was written.
    Event(Tampered),
    /// A blob that an event names is not there.
    BlobMissing {
        /// The event's number.
        seq: u64,
        /// Which blob.
        digest: Digest,
    },
    /// A blob that an event names has another content.
    BlobChanged {
        /// The event's number.
        seq: u64,
        /// Which blob.
        digest: Digest,
    },
    /// What the registry says of the run is not what its journal says.
    Row {
        /// What differs.
        what: &'static str,
    },
    /// The run is not in the registry, although it has files there.
    RunMissing,
}

impl Problem {
    /// The number of the event that it is about.
    pub const fn seq(&self) -> Option<u64> {
        match self {
            Self::Event(tampered) => Some(tampered.seq),
            Self::BlobMissing { seq, .. } | Self::BlobChanged { seq, .. } => Some(*seq),
            Self::Row { .. } | Self::RunMissing => None,
        }
    }

    /// The word for programs.
    pub fn name(&self) -> String {
        match self {
            Self::Event(tampered) => tampered.tampering.to_string(),
            Self::BlobMissing { .. } => "blob_missing".to_owned(),
            Self::BlobChanged { .. } => "blob_changed".to_owned(),
            Self::Row { .. } => "row".to_owned(),
            Self::RunMissing => "run_missing".to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(tampered) => write!(f, "{tampered}"),
            Self::BlobMissing { seq, digest } => {
                write!(f, "blob {digest}, which event {seq} names, is not there")
            }
            Self::BlobChanged { seq, digest } => {
                write!(f, "blob {digest}, which event {seq} names, was changed")
            }
            Self::Row { what } => write!(f, "{what} is not what the journal says"),
            Self::RunMissing => f.write_str("the run was removed, but its files were not"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.problem, self.place)
    }
}
