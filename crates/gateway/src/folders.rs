//! Registration of agents from folders: at start, and whenever the folders change.
//!
//! A folder is checked by the metadata of its files; only a changed one is read, and its content
//! decides. An edited folder replaces the version that it names. Deliberately absent: removal of an
//! agent whose folder is gone.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use errand_api::agent_file::FILE_NAME;
use errand_api::audit::Actor;
use errand_engine::agents::{
    self, ALWAYS_IGNORED, ParcelPlan, Registration, RegistrationOutcome, Replace,
};
use tokio::task::spawn_blocking;

use crate::Gateway;

/// Interval of checks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Files of one agent that are checked; more than a parcel may have.
const FILES_LIMIT: usize = 20_000;

/// State of the watched folders.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    seen: HashMap<PathBuf, Seen>,
}

/// State of a folder at the last check.
#[derive(Clone, Debug, Default)]
struct Seen {
    looks: u64,
    /// Folders of agents that its agent refers to by path.
    named: Vec<PathBuf>,
}

impl Folders {
    /// Registers new and changed agents. An invalid agent is logged once; the others are registered
    /// nevertheless.
    pub(crate) async fn look(&mut self, gateway: &Gateway) {
        let (roots, seen) = (gateway.config().agents.clone(), std::mem::take(&mut self.seen));
        let looked = spawn_blocking(move || changed(&roots, seen)).await;
        let Ok((seen, changed)) = looked else { return };
        self.seen = seen;
        for (folder, checked) in changed {
            let registered = match checked {
                Ok(plan) => register(gateway, &folder, plan).await,
                Err(error) => Err(error),
            };
            match registered {
                Ok(Some(reference)) => {
                    tracing::info!("{reference} is registered from {}", folder.display());
                }
                Ok(None) => {}
                Err(error) => tracing::warn!("{} is not registered: {error}", folder.display()),
            }
        }
    }

    /// Checks the folders repeatedly, until dropped.
    pub(crate) async fn watch(mut self, gateway: Gateway) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look(&gateway).await;
        }
    }
}

/// A changed folder of an agent, and the agent's plan.
type Changed = (PathBuf, Result<ParcelPlan, agents::Error>);

/// Returns the present state of the folders, and the changed ones.
fn changed(
    roots: &[PathBuf],
    mut seen: HashMap<PathBuf, Seen>,
) -> (HashMap<PathBuf, Seen>, Vec<Changed>) {
    let mut now = HashMap::new();
    let mut changed = Vec::new();
    for folder in roots.iter().flat_map(|root| agent_folders(root)) {
        let before = seen.remove(&folder);
        let mut named = before.as_ref().map(|seen| seen.named.clone()).unwrap_or_default();
        let mut look = looks(&folder, &named);
        if before.is_none_or(|seen| seen.looks != look) {
            let shown = folder.join(FILE_NAME).display().to_string();
            let checked = agents::check(&folder, &shown);
            let plan = checked.as_ref().map(ParcelPlan::members).unwrap_or_default();
            let members: Vec<PathBuf> =
                plan.iter().map(|member| member.source().folder.clone()).collect();
            if members != named {
                // Their state before they were read is not known: check them again.
                (named, look) = (members, 0);
            }
            changed.push((folder.clone(), checked));
        }
        now.insert(folder, Seen { looks: look, named });
    }
    (now, changed)
}

/// Lists the agents' folders directly below `root`, by name; or `root` itself, if it is one.
fn agent_folders(root: &Path) -> Vec<PathBuf> {
    if root.join(FILE_NAME).is_file() {
        return vec![root.to_owned()];
    }
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| folder.join(FILE_NAME).is_file())
        .collect();
    folders.sort();
    folders
}

/// Returns a hash that changes with the files of the folder, and of the folders that its agent
/// refers to.
fn looks(folder: &Path, named: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut folders: Vec<PathBuf> = named.iter().cloned().chain([folder.to_owned()]).collect();
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let is_ignored = |name: &OsStr| ALWAYS_IGNORED.iter().any(|ignored| name == *ignored);
            if path.file_name().is_some_and(is_ignored) || files >= FILES_LIMIT {
                continue;
            }
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            files += 1;
            if metadata.is_dir() {
                folders.push(path);
                continue;
            }
            path.hash(&mut hasher);
            (metadata.mtime(), metadata.mtime_nsec(), metadata.size()).hash(&mut hasher);
            (metadata.ino(), metadata.mode()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Registers an agent. Returns its name, or `None` if it was registered already.
async fn register(
    gateway: &Gateway,
    folder: &Path,
    plan: ParcelPlan,
) -> Result<Option<String>, agents::Error> {
    let by = Actor {
        key: None,
        name: Some("--agents".to_owned()),
        from: gateway.engine().holder().host.clone(),
    };
    let source = folder.display().to_string();
    let registration = Registration { namespace: None, source, replace: Replace::Yes, by: &by };
    let (version, outcome) = agents::register(gateway.engine(), plan, registration).await?;
    Ok(match outcome {
        RegistrationOutcome::Created | RegistrationOutcome::Replaced => {
            Some(format!("{}@{}", version.name, version.version))
        }
        RegistrationOutcome::Same => None,
    })
}
