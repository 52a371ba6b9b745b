//! Agents that refer to others by path: those are packed first, and pinned by their digests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use errand_api::agent_file::{self, Agent, FileReference, ProblemKind, Problems, Unknown, is_path};
use errand_model::Digest;
use errand_model::coordination::{AGENTS_LIMIT, DEPTH_LIMIT};

use super::error::Error;
use super::reference::Part;
use super::source::{Source, locate};
use super::{ParcelPlan, TRIES, pack, reference};

/// Upper bound on the agents packed with one: the sum over all coordinators in it.
const MEMBERS_LIMIT: usize = 4 * AGENTS_LIMIT;

/// Number of files with problems after which the check stops.
const PROBLEMS_LIMIT: usize = 20;

/// Packs an agent after those that it refers to.
pub(super) fn plan(source: &Source) -> Result<ParcelPlan, Error> {
    let mut planner = Planner::default();
    match planner.plan(source) {
        Ok(mut plan) => {
            plan.members = planner.members;
            Ok(plan)
        }
        // Report the problems of all files, not only of the first one.
        Err(error @ Error::AgentFileInvalid { .. }) => {
            let mut files = Vec::new();
            Planner::default().check(source, &mut |_| Ok(()), &mut files)?;
            Err(if files.is_empty() { error } else { Error::AgentFileInvalid { files } })
        }
        Err(error) => Err(error),
    }
}

/// Packs an agent whose members were packed before.
pub(super) fn plan_pinned(
    source: &Source,
    pinned: &BTreeMap<String, Digest>,
) -> Result<ParcelPlan, Error> {
    repeated(|| {
        let mut known = |reference: &FileReference| {
            let FileReference::Agent(agent) = reference else { return Ok(()) };
            if !is_path(agent) || pinned.contains_key(agent) {
                return Ok(());
            }
            Err(Unknown {
                message: format!("the agent {agent} did not come with this one"),
                hint: Some("`errand push` sends what an agent names by path".to_owned()),
                kind: ProblemKind::Invalid,
            })
        };
        let (mut agent, digest) = read(source, &mut known)?;
        for member in agent.named_agents_mut().filter(|member| member.is_path()) {
            member.digest = pinned.get(&member.agent).cloned();
        }
        Ok(ParcelPlan {
            packed: pack::pack(source, agent, &digest)?,
            source: source.clone(),
            members: Vec::new(),
        })
    })
}

/// Check for a thing that is in no folder: a registered agent, or a skill or config of the catalog.
pub type KnownElsewhere<'a> = dyn FnMut(&FileReference) -> Result<(), Unknown> + 'a;

/// Reads and checks the agent file at `path` and those that it refers to by path, with the files of
/// their folders that they name. `known` is asked for registered agents, and for skills and configs
/// that are not in the folder.
///
/// # Errors
///
/// [`Error::AgentFileMissing`], [`Error::Io`]. Problems of the files are the inner error: the file
/// itself comes first.
pub fn check(
    path: &Path,
    known: &mut KnownElsewhere<'_>,
) -> Result<Result<Agent, Vec<Problems>>, Error> {
    let mut planner = Planner::default();
    let mut problems = Vec::new();
    let agent = planner.check(&locate(path)?, known, &mut problems)?;
    Ok(agent.filter(|_| problems.is_empty()).ok_or(problems))
}

#[derive(Debug, Default)]
struct Planner {
    /// Agent files that are being read, each named by the one before.
    open: Vec<PathBuf>,
    /// Agent files whose parcels are planned.
    done: BTreeMap<PathBuf, Digest>,
    /// Plans, each after those that it refers to.
    members: Vec<ParcelPlan>,
    /// Agent files that were checked, if nothing is packed.
    seen: BTreeSet<PathBuf>,
}

impl Planner {
    fn plan(&mut self, source: &Source) -> Result<ParcelPlan, Error> {
        self.open.push(identity(source)?);
        let planned = repeated(|| self.pack(source));
        self.open.pop();
        planned
    }

    fn pack(&mut self, source: &Source) -> Result<ParcelPlan, Error> {
        let mut found: BTreeMap<String, (Source, PathBuf)> = BTreeMap::new();
        let mut known = |reference: &FileReference| {
            if let FileReference::Agent(agent) = reference
                && is_path(agent)
            {
                let member = self.find(source, agent)?;
                found.insert(agent.to_owned(), member);
            }
            Ok(())
        };
        let (mut agent, digest) = read(source, &mut known)?;
        let mut pinned: BTreeMap<String, Digest> = BTreeMap::new();
        for (name, (member, identity)) in found {
            if !self.done.contains_key(&identity) {
                let plan = self.plan(&member).map_err(|error| error.of_member(&name))?;
                self.done.insert(identity.clone(), plan.digest().clone());
                self.members.push(plan);
            }
            pinned.extend(self.done.get(&identity).map(|digest| (name, digest.clone())));
        }
        for member in agent.named_agents_mut().filter(|member| member.is_path()) {
            member.digest = pinned.get(&member.agent).cloned();
        }
        let packed = pack::pack(source, agent, &digest)?;
        Ok(ParcelPlan { packed, source: source.clone(), members: Vec::new() })
    }

    fn check(
        &mut self,
        source: &Source,
        elsewhere: &mut KnownElsewhere<'_>,
        problems: &mut Vec<Problems>,
    ) -> Result<Option<Agent>, Error> {
        let own = identity(source)?;
        self.seen.insert(own.clone());
        self.open.push(own);
        let mut found = BTreeMap::new();
        let mut known = |reference: &FileReference| {
            let FileReference::Agent(agent) = reference else { return elsewhere(reference) };
            if !is_path(agent) {
                return elsewhere(reference);
            }
            let (member, identity) = self.find(source, agent)?;
            found.insert(identity, member);
            Ok(())
        };
        let agent = match read(source, &mut known) {
            Ok((agent, _)) => Some(agent),
            Err(Error::AgentFileInvalid { files }) => {
                problems.extend(files);
                None
            }
            Err(error) => return Err(error),
        };
        for (identity, member) in found {
            if !self.seen.contains(&identity) && problems.len() < PROBLEMS_LIMIT {
                self.check(&member, elsewhere, problems)?;
            }
        }
        self.open.pop();
        Ok(agent)
    }

    /// Finds the agent that another one refers to by path.
    fn find(&self, source: &Source, agent: &str) -> Result<(Source, PathBuf), Unknown> {
        let unknown = |message: String, hint: &str| Unknown {
            message,
            hint: Some(hint.to_owned()),
            kind: ProblemKind::Invalid,
        };
        let unclear = |message: String| Unknown { message, hint: None, kind: ProblemKind::Invalid };
        let path = shortened(&source.folder.join(agent));
        let member = match locate(&path) {
            Ok(member) => member,
            Err(Error::AgentFileMissing { path }) => {
                let message = format!("there is no agent file at {}", path.display());
                return Err(unknown(
                    message,
                    "name a folder with an agent.yaml, or the file itself",
                ));
            }
            Err(error) => return Err(unclear(error.to_string())),
        };
        let identity = identity(&member).map_err(|error| unclear(error.to_string()))?;
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

/// Removes `..` parts from a path as long as the result is the same file, which links may prevent.
fn shortened(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        let is_taken_back = part == Component::ParentDir
            && matches!(short.components().next_back(), Some(Component::Normal(_)));
        if is_taken_back {
            short.pop();
        } else if part != Component::CurDir {
            short.push(part);
        }
    }
    let is_same = fs::canonicalize(&short).ok() == fs::canonicalize(path).ok();
    if is_same && !short.as_os_str().is_empty() { short } else { path.to_owned() }
}

/// Repeats packing if the folder changed meanwhile.
fn repeated(mut pack: impl FnMut() -> Result<ParcelPlan, Error>) -> Result<ParcelPlan, Error> {
    let mut tries = 1;
    loop {
        match pack() {
            Err(Error::SourceChanged { .. }) if tries < TRIES => tries += 1,
            packed => return packed,
        }
    }
}

/// Returns the definition, and the digest of the bytes that it was read from.
fn read(source: &Source, elsewhere: &mut KnownElsewhere<'_>) -> Result<(Agent, Digest), Error> {
    let bytes = source.read()?;
    let shown = source.agent_file.display().to_string();
    let mut known = |reference: &FileReference| match reference {
        FileReference::Agent(_) | FileReference::Definition(..) => elsewhere(reference),
        FileReference::Skill(_) | FileReference::Config(_) => {
            match reference::part(&source.folder, reference)? {
                Part::Here => Ok(()),
                Part::Absent => elsewhere(reference),
            }
        }
        FileReference::Program(program) => reference::executable(&source.folder, program),
        FileReference::Script(script) => reference::script(&source.folder, script),
    };
    let agent = agent_file::parse_knowing(&shown, &bytes, &mut known)
        .map_err(|problems| Error::AgentFileInvalid { files: vec![problems] })?;
    Ok((agent, Digest::of(&bytes)))
}

/// Returns the canonical path of an agent file.
fn identity(source: &Source) -> Result<PathBuf, Error> {
    fs::canonicalize(&source.agent_file).map_err(Error::io("look at", &source.agent_file))
}

/// Returns the name of an agent file's folder, or of the file itself if it has an unusual name.
fn shown(file: &Path) -> String {
    let is_usual = file.file_name().is_some_and(|name| name == agent_file::FILE_NAME);
    let part = if is_usual { file.parent() } else { Some(file) };
    let name = part.and_then(Path::file_name).unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}
