//! Folder of the start of a Pod: where it is, and the key of its connections.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use errand_container::KeptFolder;
use errand_shim::link::LinkKey;
use serde::{Deserialize, Serialize};

/// Name of the file with the place.
const PLACE: &str = "place.json";

/// Place of a Pod, as another process of this machine needs it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeptPlace {
    /// Namespace of the Job.
    pub(crate) namespace: String,
    /// Key of the connections, as hexadecimal digits.
    pub(crate) key: String,
    /// Paths of the trees that come back.
    pub(crate) returns: Vec<std::path::PathBuf>,
    /// Socket of the agent API.
    pub(crate) api: std::path::PathBuf,
}

impl std::fmt::Debug for KeptPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptPlace").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl KeptPlace {
    /// Reads the place in the folder of a start.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(crate) fn read(start: &Path) -> io::Result<Self> {
        let text = fs::read(start.join(PLACE))?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }

    /// Writes the place into the folder of a start, before anything of the cluster is made.
    ///
    /// # Errors
    ///
    /// If the disk is full.
    pub(crate) fn write(&self, start: &Path) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(start.join(PLACE))?.write_all(&serde_json::to_vec(self)?)
    }

    /// Returns the key.
    ///
    /// # Errors
    ///
    /// If the file is damaged.
    pub(crate) fn link_key(&self) -> io::Result<LinkKey> {
        LinkKey::parse(&self.key).map_err(io::Error::other)
    }
}

/// Returns the namespaces in which something of an attempt may be.
pub(crate) fn namespaces(kept: &KeptFolder) -> Vec<String> {
    let starts = kept.starts().into_iter();
    starts.filter_map(|start| Some(KeptPlace::read(&start).ok()?.namespace)).collect()
}
