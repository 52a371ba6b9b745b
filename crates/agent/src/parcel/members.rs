//! Agents that name others by path: those are packed first, and pinned by their digests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use errand_api::agent_file::{self, Agent, Unknown, is_path};
use errand_model::Digest;
use errand_model::coordination::{AGENTS_LIMIT, DEPTH_LIMIT};

use super::error::Error;
use super::source::{Source, locate};
use super::{Plan, TRIES, pack};

/// Agents that are packed with one: what all coordinators in it have together.
const MEMBERS_LIMIT: usize = 4 * AGENTS_LIMIT;

/// Packs an agent after those that it names.
pub(super) fn plan(source: &Source) -> Result<Plan, Error> {
    let mut planner = Planner::default();
    let mut plan = planner.plan(source)?;
    plan.members = planner.members;
    Ok(plan)
}

/// Packs an agent whose members were packed before.
pub(super) fn plan_pinned(
    source: &Source,
    pinned: &BTreeMap<String, Digest>,
) -> Result<Plan, Error> {
    repeated(|| {
        let mut known = |agent: &str| {
            if !is_path(agent) || pinned.contains_key(agent) {
                return Ok(());
            }
            Err(Unknown {
                message: format!("the agent {agent} did not come with this one"),
                hint: Some("`errand push` sends what an agent names by path".to_owned()),
            })
        };
        let (mut agent, digest) = read(source, &mut known)?;
        for member in agent.named_agents_mut().filter(|member| member.is_path()) {
            member.digest = pinned.get(&member.agent).cloned();
        }
        Ok(Plan {
            packed: pack::pack(source, agent, &digest)?,
            source: source.clone(),
            members: Vec::new(),
        })
    })
}

#[derive(Debug, Default)]
struct Planner {
    /// Agent files that are being read, each named by the one before.
    open: Vec<PathBuf>,
    /// Agent files whose parcels are planned.
    done: BTreeMap<PathBuf, Digest>,
    /// Each after those that it names.
    members: Vec<Plan>,
}

impl Planner {
    fn plan(&mut self, source: &Source) -> Result<Plan, Error> {
        self.open.push(identity(source)?);
        let planned = repeated(|| self.pack(source));
        self.open.pop();
        planned
    }

    fn pack(&mut self, source: &Source) -> Result<Plan, Error> {
        let mut found: BTreeMap<String, (Source, PathBuf)> = BTreeMap::new();
        let mut known = |agent: &str| {
            if is_path(agent) {
                let member = self.find(source, agent)?;
                found.insert(agent.to_owned(), member);
            }
            Ok(())
        };
        let (mut agent, digest) = read(source, &mut known)?;
        let mut pinned: BTreeMap<String, Digest> = BTreeMap::new();
        for (name, (member, identity)) in found {
            if !self.done.contains_key(&identity) {
                let plan = self.plan(&member)?;
                self.done.insert(identity.clone(), plan.digest().clone());
                self.members.push(plan);
            }
            pinned.extend(self.done.get(&identity).map(|digest| (name, digest.clone())));
        }
        for member in agent.named_agents_mut().filter(|member| member.is_path()) {
            member.digest = pinned.get(&member.agent).cloned();
        }
        let packed = pack::pack(source, agent, &digest)?;
        Ok(Plan { packed, source: source.clone(), members: Vec::new() })
    }

    /// The agent that another one names by path.
    fn find(&self, source: &Source, agent: &str) -> Result<(Source, PathBuf), Unknown> {
        let unknown =
            |message: String, hint: &str| Unknown { message, hint: Some(hint.to_owned()) };
        let path = source.folder.join(agent);
        let member = match locate(&path) {
            Ok(member) => member,
            Err(Error::AgentFileMissing { path }) => {
                let message = format!("there is no agent file at {}", path.display());
                return Err(unknown(
                    message,
                    "name a folder with an agent.yaml, or the file itself",
                ));
            }
            Err(error) => return Err(Unknown { message: error.to_string(), hint: None }),
        };
        let identity = identity(&member)
            .map_err(|error| Unknown { message: error.to_string(), hint: None })?;
        if let Some(at) = self.open.iter().position(|open| *open == identity) {
            let way = self.open[at..].iter().chain([&identity]).map(|file| shown(file));
            let way = way.collect::<Vec<_>>().join(" -> ");
            return Err(unknown(
                format!("the agent contains itself: {way}"),
                "a parcel cannot hold its own digest: name the agent by its registered name",
            ));
        }
        let depth = usize::try_from(DEPTH_LIMIT).unwrap_or(usize::MAX);
        if self.open.len() > depth {
            let message = format!("agents name each other by path more than {depth} levels deep");
            return Err(unknown(message, "name this one by its registered name"));
        }
        if self.members.len() >= MEMBERS_LIMIT {
            let message = format!("there are more than {MEMBERS_LIMIT} agents in this one");
            return Err(unknown(message, "name some of them by their registered names"));
        }
        Ok((member, identity))
    }
}

/// Once more if the folder changed meanwhile.
fn repeated(mut pack: impl FnMut() -> Result<Plan, Error>) -> Result<Plan, Error> {
    let mut tries = 1;
    loop {
        match pack() {
            Err(Error::SourceChanged { .. }) if tries < TRIES => tries += 1,
            packed => return packed,
        }
    }
}

/// The definition and the digest of the bytes that it was read from.
fn read(source: &Source, known: &mut agent_file::Known<'_>) -> Result<(Agent, Digest), Error> {
    let bytes = source.read()?;
    let shown = source.agent_file.display().to_string();
    let agent = agent_file::parse_knowing(&shown, &bytes, known)
        .map_err(|problems| Error::AgentFileInvalid { problems })?;
    Ok((agent, Digest::of(&bytes)))
}

/// What an agent file is, whatever path leads to it.
fn identity(source: &Source) -> Result<PathBuf, Error> {
    fs::canonicalize(&source.agent_file).map_err(Error::io("look at", &source.agent_file))
}

/// The folder of an agent file, or the file itself if it has a name of its own.
fn shown(file: &Path) -> String {
    let is_usual = file.file_name().is_some_and(|name| name == agent_file::FILE_NAME);
    let part = if is_usual { file.parent() } else { Some(file) };
    let name = part.and_then(Path::file_name).unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}
