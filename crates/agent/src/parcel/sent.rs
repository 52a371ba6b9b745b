//! An agent sent to a server, with those that it refers to by path, in one folder.
//!
//! The other agents lie below a subfolder that is never packed, with a list of references. The list
//! is not trusted: each of them is packed anew on the server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use errand_api::agent_file::Agent;
use errand_model::Digest;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::source::locate;
use super::{ParcelPlan, members};

/// List of the agents that are sent along, relative to the folder.
pub const SENT_LIST: &str = ".errand/members.json";

/// Size limit of the list: enough for a thousand agents with long paths.
const LIST_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    schema: u32,
    /// References of the agent itself.
    agents: BTreeMap<String, Digest>,
    /// Agents sent along, each after those that it refers to.
    members: Vec<Member>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    /// Name of its agent file.
    file: String,
    agents: BTreeMap<String, Digest>,
}

const SCHEMA: u32 = 1;

/// Returns the folder of the member `index` of [`ParcelPlan::members`], relative to the folder.
pub fn sent_folder(index: usize) -> String {
    format!(".errand/members/{index}")
}

/// Returns the content of [`SENT_LIST`] for a plan; `None` if it refers to no agent by path.
///
/// # Errors
///
/// If it cannot be encoded, which is a bug.
pub fn sent_list(plan: &ParcelPlan) -> Result<Option<Vec<u8>>, serde_json::Error> {
    if plan.members().is_empty() {
        return Ok(None);
    }
    let members = plan.members().iter().map(|member| {
        let file = member.source().agent_file.file_name().unwrap_or_default();
        Member { file: file.to_string_lossy().into_owned(), agents: pinned(member.agent()) }
    });
    let members = members.collect();
    let list = List { schema: SCHEMA, agents: pinned(plan.agent()), members };
    serde_json::to_vec(&list).map(Some)
}

fn pinned(agent: &Agent) -> BTreeMap<String, Digest> {
    let pinned = |member: &errand_api::agent_file::Member| {
        Some((member.agent.clone(), member.digest.clone()?))
    };
    agent.named_agents().filter_map(pinned).collect()
}

/// Reads and checks the agent in a received folder, with those that were sent along.
///
/// # Errors
///
/// [`Error`] for any fault; a missing agent is one.
pub fn plan_sent(folder: &Path) -> Result<ParcelPlan, Error> {
    let source = locate(folder)?;
    let path = folder.join(SENT_LIST);
    let Some(list) = read(&path)? else { return members::plan_pinned(&source, &BTreeMap::new()) };
    let (mut known, mut plans) = (BTreeSet::new(), Vec::new());
    for (index, member) in list.members.iter().enumerate() {
        let folder = folder.join(sent_folder(index));
        // A name, not a path: nothing outside of the folder is read.
        let file = Path::new(&member.file).file_name().unwrap_or_default();
        let located = locate(&folder.join(file))?;
        let plan = members::plan_pinned(&located, &among(&member.agents, &known))?;
        known.insert(plan.digest().clone());
        plans.push(plan);
    }
    let mut plan = members::plan_pinned(&source, &among(&list.agents, &known))?;
    plan.members = plans;
    Ok(plan)
}

/// Keeps only agents that were sent along: a client cannot refer to a parcel that it does not have.
fn among(agents: &BTreeMap<String, Digest>, known: &BTreeSet<Digest>) -> BTreeMap<String, Digest> {
    let is_known = |(_, digest): &(&String, &Digest)| known.contains(*digest);
    agents.iter().filter(is_known).map(|(agent, digest)| (agent.clone(), digest.clone())).collect()
}

fn read(path: &Path) -> Result<Option<List>, Error> {
    let is_there = path.try_exists().map_err(Error::io("look at", path))?;
    if !is_there {
        return Ok(None);
    }
    let unreadable = |reason: String| Error::MembersUnreadable { reason };
    let length = fs::metadata(path).map_err(Error::io("look at", path))?.len();
    if length > LIST_LIMIT_BYTES {
        return Err(unreadable(format!("it is longer than {LIST_LIMIT_BYTES} bytes")));
    }
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let list: List =
        serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if list.schema != SCHEMA {
        return Err(unreadable(format!("it was made by another errand (schema {})", list.schema)));
    }
    Ok(Some(list))
}
