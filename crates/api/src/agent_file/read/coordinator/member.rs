//! Agents that an agent file names.

use errand_model::coordination::AGENTS_LIMIT;

use super::super::super::coordinator::{Member, default_name, is_path};
use super::super::super::known::Reference;
use super::super::super::reader::{At, Object, Reader};
use super::super::super::yaml::Kind;
use super::super::names;
use super::Members;

/// An agent in a list.
pub(super) struct Named<'a> {
    pub(super) name: String,
    pub(super) member: Member,
    /// What else is said of it; `None`: it stands there alone.
    pub(super) fields: Option<Object<'a>>,
}

/// What to write where an agent's name is refused.
const AGENT_HINT: &str =
    "write a registered name, name@version, or a path relative to this file such as ../validator";

/// The field `agents`: at least one, each name once. `known` are the fields of a mapping.
pub(super) fn list<'a>(
    reader: &mut Reader,
    fields: &Object<'a>,
    known: &[&str],
) -> Option<Vec<Named<'a>>> {
    let at = fields.require(reader, "agents", "write agents: [first, second]")?;
    if matches!(&at.node.kind, Kind::List(items) if items.is_empty()) {
        reader.report(&at, "there is no agent in the list");
    }
    Some(items(reader, &at, known))
}

/// `handoffs`: agents that the run may be handed over to.
pub(in super::super) fn handoffs(reader: &mut Reader, at: &At<'_>) -> Members {
    let named = items(reader, at, &["agent", "name"]);
    named.into_iter().map(|named| (named.name, named.member)).collect()
}

fn items<'a>(reader: &mut Reader, at: &At<'a>, known: &[&str]) -> Vec<Named<'a>> {
    let items = reader.list(at);
    bound(reader, at, items.len());
    let mut all: Vec<Named<'a>> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(named) = named(reader, item, known) else { continue };
        if all.iter().any(|other| other.name == named.name) {
            reader.report_hint(
                item,
                format!("another agent of this list has the name {:?}", named.name),
                format!("give this one its own: {{ agent: {}, name: … }}", named.member.agent),
            );
        } else {
            all.push(named);
        }
    }
    all
}

/// Reports more agents than there may be.
pub(super) fn bound(reader: &mut Reader, at: &At<'_>, count: usize) {
    if count > AGENTS_LIMIT {
        reader.report(at, format!("there are {count} agents, more than {AGENTS_LIMIT}"));
    }
}

/// An agent alone, or a mapping with its name and more.
fn named<'a>(reader: &mut Reader, at: &At<'a>, known: &[&str]) -> Option<Named<'a>> {
    if !matches!(at.node.kind, Kind::Map(_)) {
        let agent = agent(reader, at)?;
        let name = name_of(reader, at, &agent)?;
        return Some(Named { name, member: Member { agent, digest: None }, fields: None });
    }
    let fields = reader.object(at, known)?;
    let agent = fields
        .require(reader, "agent", "write agent: and its name or path")
        .and_then(|at| agent(reader, &at));
    let name = match fields.get("name") {
        Some(at) => name(reader, &at),
        None => agent.as_ref().and_then(|agent| name_of(reader, at, agent)),
    };
    Some(Named {
        name: name?,
        member: Member { agent: agent?, digest: None },
        fields: Some(fields),
    })
}

/// The name that an agent has without being given one.
fn name_of(reader: &mut Reader, at: &At<'_>, agent: &str) -> Option<String> {
    match default_name(agent).filter(|name| names::is_member_name(name)) {
        Some(name) => Some(name),
        None => {
            reader.report_hint(
                at,
                format!("{agent:?} does not tell what the agent is called here"),
                format!("write {{ agent: {agent}, name: … }}"),
            );
            None
        }
    }
}

fn name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let name = reader.text(at)?;
    if names::is_member_name(&name) {
        return Some(name);
    }
    let message = format!("{name:?} cannot be the name of an agent here");
    reader.report_hint(at, message, names::MEMBER_HINT);
    None
}

/// A registered name, `name@version`, or a path relative to the agent file.
pub(super) fn agent(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let agent = reader.text(at)?;
    if check(reader, at, &agent) {
        reader.refers_to(at, Reference::Agent(agent.clone()));
        return Some(agent);
    }
    None
}

/// Reports what cannot name an agent.
pub(super) fn check(reader: &mut Reader, at: &At<'_>, agent: &str) -> bool {
    if is_path(agent) {
        if agent.starts_with('/') {
            let message = format!("{agent:?} is not relative to this file");
            reader.report_hint(at, message, AGENT_HINT);
            return false;
        }
        return true;
    }
    let (name, version) = agent.split_once('@').unwrap_or((agent, "0"));
    if names::is_agent_name(name) && names::is_plain_argument(version) && !version.is_empty() {
        return true;
    }
    reader.report_hint(at, format!("{agent:?} cannot be an agent"), AGENT_HINT);
    false
}
