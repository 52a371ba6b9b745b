//! Findings of a verification.

use std::fmt;
use std::path::PathBuf;

use errand_model::{Digest, RunId, Tampered};

/// Result of verifying a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRegistry {
    /// Id of the run.
    pub run_id: RunId,
    /// Number of valid events, from the first on.
    pub events: u64,
    /// True if the run is over: nothing can be cut off its end unnoticed.
    pub is_sealed: bool,
    /// Hash of the last valid event.
    pub hash: String,
    /// Number of descendants verified with it, in an export.
    pub children: u64,
    /// Problems: at most one event per place, the first; empty if all is as written.
    pub findings: Vec<Finding>,
}

/// A deviation from the written journal or its blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Place of the problem.
    pub place: EvidencePlace,
    /// Kind of the problem.
    pub problem: EvidenceProblem,
}

/// Place where a part of a run is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidencePlace {
    /// The registry's database.
    Registry,
    /// A file of the registry.
    File(PathBuf),
    /// An entry of an export.
    Export(String),
}

impl EvidencePlace {
    /// Returns the stable name for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::File(_) => "file",
            Self::Export(_) => "export",
        }
    }
}

impl fmt::Display for EvidencePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry => f.write_str("in the registry"),
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Export(entry) => write!(f, "in {entry} of the export"),
        }
    }
}

/// Kind of a deviation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceProblem {
    /// An event differs.
    Event(Tampered),
    /// A blob that an event names is missing.
    BlobMissing {
        /// Number of the event.
        seq: u64,
        /// Digest of the blob.
        digest: Digest,
    },
    /// A blob that an event names has another content.
    BlobChanged {
        /// Number of the event.
        seq: u64,
        /// Digest of the blob.
        digest: Digest,
    },
    /// The registry's row of the run contradicts its journal.
    Row {
        /// The field that differs.
        what: &'static str,
    },
    /// The run is not in the registry, although its files are.
    RunMissing,
}

impl EvidenceProblem {
    /// Returns the number of the event concerned.
    pub const fn seq(&self) -> Option<u64> {
        match self {
            Self::Event(tampered) => Some(tampered.seq),
            Self::BlobMissing { seq, .. } | Self::BlobChanged { seq, .. } => Some(*seq),
            Self::Row { .. } | Self::RunMissing => None,
        }
    }

    /// Returns the stable name for programs.
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

impl fmt::Display for EvidenceProblem {
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
