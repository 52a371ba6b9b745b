//! Registered agents of a server, and its workers.

use std::path::Path;

use errand_agent::parcel::{self, Content, ParcelPlan};
use errand_api::worker::Workers;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Remote;
use crate::failure::Failure;

/// Media type of an agent's folder.
const ARCHIVE: &str = "application/x-tar";

/// Version of a registered agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) digest: String,
    /// Other members of the server's answer.
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Agents {
    agents: Vec<Agent>,
    #[serde(default)]
    next_cursor: Option<String>,
}

impl Agent {
    /// Returns the reference that names exactly this version.
    pub(crate) fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Returns the description, for people.
    pub(crate) fn description(&self) -> Option<&str> {
        self.rest.get("description")?.as_str()
    }
}

impl Remote {
    /// Registers an agent's folder; with `force` even in place of other content.
    pub(crate) async fn push(&self, plan: &ParcelPlan, force: bool) -> Result<Agent, Failure> {
        let archive =
            archive(plan).map_err(|error| Failure::io("read", &plan.source().folder, &error))?;
        let request = self.request(Method::POST, &["agents"]).query(&[("force", force)]);
        self.ask(request.header("Content-Type", ARCHIVE).body(archive)).await
    }

    /// Returns all registered agents by name, each in its current version.
    pub(crate) async fn agents(&self) -> Result<Vec<Agent>, Failure> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let query: Vec<_> =
                cursor.take().map(|cursor| ("cursor", cursor)).into_iter().collect();
            let page: Agents = self.query(&["agents"], &query).await?;
            all.extend(page.agents);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Returns the document of an agent: `name` or `name@version`.
    pub(crate) async fn agent(&self, name: &str) -> Result<Value, Failure> {
        self.get(&["agents", name]).await
    }

    /// Returns a version of an agent.
    pub(crate) async fn version(&self, name: &str, version: &str) -> Result<Agent, Failure> {
        self.get(&["agents", name, "versions", version]).await
    }

    /// Removes an agent, or one version of it, from the registry; its runs are kept.
    pub(crate) async fn remove_agent(&self, name: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, &["agents", name])).await?;
        Ok(())
    }

    /// Returns the workers and their runs.
    pub(crate) async fn workers(&self) -> Result<Workers, Failure> {
        self.get(&["workers"]).await
    }
}

/// Returns an archive of the files that the parcel would have, and nothing else of the folder; the
/// same for agents that it names by path.
fn archive(plan: &ParcelPlan) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    if let Some(list) = parcel::sent_list(plan)? {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        header.set_size(list.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, parcel::SENT_LIST, list.as_slice())?;
    }
    for (index, member) in plan.members().iter().enumerate() {
        let below = parcel::sent_folder(index);
        append(&mut archive, member, Path::new(&below))?;
        let file = member.source().agent_file.file_name().unwrap_or_default();
        if !member.files().iter().any(|packed| Path::new(&packed.path) == Path::new(file)) {
            // The agent file is needed to make the parcel, even if the parcel leaves it out.
            let place = Path::new(&below).join(file);
            archive.append_path_with_name(&member.source().agent_file, place)?;
        }
    }
    append(&mut archive, plan, Path::new(""))?;
    archive.into_inner()
}

/// Appends the files of one agent, below a folder of the archive.
fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    plan: &ParcelPlan,
    below: &Path,
) -> std::io::Result<()> {
    let folder = &plan.source().folder;
    for file in plan.files() {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        let place = below.join(&file.path);
        match &file.content {
            Content::File { executable, size_bytes, .. } => {
                header.set_size(*size_bytes);
                header.set_mode(if *executable { 0o755 } else { 0o644 });
                let content = std::fs::File::open(folder.join(&file.path))?;
                archive.append_data(&mut header, place, content)?;
            }
            Content::Link { target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                header.set_mode(0o777);
                archive.append_link(&mut header, place, Path::new(target))?;
            }
        }
    }
    Ok(())
}
