//! Parcels: agents in their built, content-addressed form.
//!
//! A parcel is a read-only copy of an agent's folder below `parcels/<64 hex digits>/`:
//!
//! - `files/`: the packaged files,
//! - `definition.json`: the normalised definition, canonical JSON,
//! - `manifest.json`: what is in it, canonical JSON; its sha-256 is the parcel's digest.
//!
//! An agent that names others by path is packed after them, and its definition has the digests of
//! their parcels.
//!
//! The digest covers path, content and executability of every file, the target of every link, and
//! the definition: nothing of owner, time or umask, so that it is the same on every machine.
//! Deliberately absent: empty folders, `.git`, `.errand` and `__pycache__` at any depth, and what
//! ignore files name (see `rules`). A file that looks like credentials is refused unless an ignore
//! file of errand's names it.

mod arrive;
mod credentials;
mod error;
mod kept;
mod manifest;
mod members;
mod pack;
mod publish;
mod reference;
mod rules;
mod sent;
mod source;
mod stored;
mod survey;

use std::path::{Path, PathBuf};

use errand_api::agent_file::Agent;
use errand_model::Digest;

pub use arrive::{IncomingParcel, Listing};
pub use error::Error;
pub use kept::{KeptParcel, kept, renew, size, sweep, sweep_uploads};
pub use manifest::{Content, ParcelFile};
pub use members::{KnownElsewhere, check};
pub use sent::{SENT_LIST, plan_sent, sent_folder, sent_list};
pub use source::{Source, locate};
pub use stored::{open, remove, verify};

/// Number of files and links in one parcel.
pub const MAX_FILES: usize = 10_000;
/// Number of reported paths that are left out.
pub const MAX_LEFT_OUT: usize = 1_000;
/// Size limit of a file in a parcel.
pub const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Size limit of all files of a parcel together.
pub const MAX_TOTAL_BYTES: u64 = 1024 * 1024 * 1024;
/// Name of the file that lists what is left out, in the syntax of `.gitignore`.
pub const IGNORE_FILE_NAME: &str = ".errandignore";
/// Names that are always left out, whatever the ignore file says.
pub const ALWAYS_IGNORED: [&str; 3] = [".git", ".errand", "__pycache__"];

/// Folders that are left out unless `.errandignore` names them: made for one machine, and large.
pub const LEFT_OUT: [&str; 10] = [
    ".venv",
    "node_modules",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".ipynb_checkpoints",
    ".direnv",
    ".eggs",
];

/// A built parcel.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// Digest of the parcel.
    pub digest: Digest,
    /// The definition, as it was when the parcel was built.
    pub agent: Agent,
    /// Folder of the parcel; absolute if the given root was.
    pub path: PathBuf,
    /// Files and links, by the bytes of their paths.
    pub files: Vec<ParcelFile>,
}

impl Parcel {
    /// Returns the folder of the packaged files, which an agent sees as `$ERRAND_AGENT_DIR`.
    pub fn files_path(&self) -> PathBuf {
        self.path.join(FILES)
    }
}

/// Folder of a parcel's files.
pub const FILES: &str = "files";
/// File of a parcel's definition.
pub const DEFINITION: &str = "definition.json";
/// File of a parcel's manifest.
pub const MANIFEST: &str = "manifest.json";

/// Number of tries to pack a folder that changes meanwhile.
const TRIES: usize = 3;

/// A plan of a parcel: everything was read and checked, nothing was written.
#[derive(Debug)]
pub struct ParcelPlan {
    source: Source,
    packed: pack::Packed,
    members: Vec<Self>,
}

/// Reads and checks the agent at `path`: a folder with an `agent.yaml`, or the agent file itself;
/// also the agents that it refers to by path.
///
/// # Errors
///
/// [`Error`] for a fault of the source.
pub fn plan(path: &Path) -> Result<ParcelPlan, Error> {
    members::plan(&locate(path)?)
}

impl ParcelPlan {
    /// Returns the source of the agent.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns the definition of the agent.
    pub fn agent(&self) -> &Agent {
        &self.packed.agent
    }

    /// Returns the digest of the parcel.
    pub fn digest(&self) -> &Digest {
        &self.packed.digest
    }

    /// Returns the files and links of the parcel, by the bytes of their paths.
    pub fn files(&self) -> &[ParcelFile] {
        &self.packed.manifest.files
    }

    /// Returns the files and folders that are left out, by the bytes of their paths; the content of
    /// such a folder is not listed. At most [`MAX_LEFT_OUT`].
    pub fn left_out(&self) -> &[String] {
        &self.packed.left_out
    }

    /// Returns the agents that it refers to by path, and those that they refer to, each once: every
    /// one comes before those that refer to it. They have no members of their own here.
    pub fn members(&self) -> &[Self] {
        &self.members
    }

    /// Builds the parcel, or finds it: if it exists already, nothing is written. A damaged one is
    /// replaced. Parcels of its members are built first.
    ///
    /// Any number of processes may build the same parcel at once. The parcel is durable when this
    /// returns.
    ///
    /// # Errors
    ///
    /// [`Error::SourceChanged`] if the source has changed since it was planned, [`Error::Io`].
    pub fn publish(self, parcels_root: &Path) -> Result<Parcel, Error> {
        for member in self.members {
            member.publish(parcels_root)?;
        }
        let packed = self.packed;
        let path = stored::path_of(parcels_root, &packed.digest);
        let found = open(parcels_root, &packed.digest);
        if let Err(Error::Damaged { .. }) = found {
            // A damaged parcel is of no use: it is built anew.
            remove(parcels_root, &packed.digest)?;
        }
        // An existing parcel is renewed, so that it is not removed before it is named.
        if !(stored::is_published(&path)? && renew(parcels_root, &packed.digest)?) {
            publish::publish(&packed, parcels_root, &path)?;
        }
        let files = packed.manifest.files;
        Ok(Parcel { digest: packed.digest, agent: packed.agent, path, files })
    }
}

/// Builds the parcel of the agent at `path`, or finds it: [`plan`] and [`ParcelPlan::publish`],
/// repeated if the source changed in between.
///
/// # Errors
///
/// [`Error`]. Faults of the source are found before anything is written.
pub fn build(path: &Path, parcels_root: &Path) -> Result<Parcel, Error> {
    let mut tries = 1;
    loop {
        match plan(path)?.publish(parcels_root) {
            Err(Error::SourceChanged { .. }) if tries < TRIES => tries += 1,
            result => return result,
        }
    }
}
