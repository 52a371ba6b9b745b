//! Runs whose steps are other agents' runs, and runs that others carry on.

use std::collections::BTreeMap;

use errand_model::Digest;
use errand_model::plan::Pattern;
use serde::{Deserialize, Serialize};

/// Cooperation of the agents of a coordinated run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coordinator {
    /// Agents by name within the coordinator.
    pub agents: BTreeMap<String, Member>,
    /// Pattern of their cooperation.
    pub pattern: Pattern,
}

impl Coordinator {
    /// The largest bound on messages that may be set.
    pub const LARGEST_MAX_MESSAGES: u32 = 100_000;
}

/// An agent that another agent file names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// A registered name, `name@version`, or a path relative to the agent file.
    pub agent: String,
    /// The parcel of an agent that is named by a path: known once that is built, and so covered by
    /// the digest of the agent that names it. `None` for a registered one, whose version is looked
    /// up when a run is admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl Member {
    /// Returns true if the agent is named by a path.
    pub fn is_path(&self) -> bool {
        is_path(&self.agent)
    }
}

/// Returns true if a text that names an agent is a path: it has a slash, or is `.` or `..`.
pub fn is_path(agent: &str) -> bool {
    agent.contains('/') || matches!(agent, "." | "..")
}

/// Returns the default name of an agent: a registered one's own name, for a path the last folder,
/// or the file if that is not `agent.yaml`. `None`: the path does not tell.
pub(super) fn default_name(agent: &str) -> Option<String> {
    if !is_path(agent) {
        return Some(agent.split('@').next().unwrap_or(agent).to_owned());
    }
    let mut parts = agent.rsplit('/').filter(|part| !part.is_empty() && *part != ".");
    let last = match parts.next()? {
        super::FILE_NAME => parts.next()?,
        last => last.strip_suffix(".yaml").or(last.strip_suffix(".yml")).unwrap_or(last),
    };
    (last != "..").then(|| last.to_owned())
}
