//! Fields that ask for what this version of errand cannot do, and files that the command needs.
//!
//! A field that is read and has no effect is a promise that nothing keeps, so it is refused by name.
//! Fields that only describe the agent (`model`, `tools`, `mcp_servers`) are no promises: the schema
//! says so, and the inventory of the agent shows them.

use super::super::definition::{Agent, Harness, Target, Workspace};
use super::super::known::Reference;
use super::super::reader::{At, Object, Reader, field_of};
use super::super::yaml::Kind;

/// Fields of `spec` that nothing carries out yet, with the reason.
const WITHOUT_EFFECT: &[(&str, &str, &str)] = &[
    ("policies", "nothing would enforce them", "remove it; limits in `budgets` are enforced"),
    ("tier", "runs are not dispatched to tiers", "remove it"),
    (
        "dependencies",
        "errand does not start or wait for services of other agents",
        "remove it; the agent itself can wait for what it needs",
    ),
];

/// Reports what cannot be honoured, and notes which files the command needs.
pub(super) fn check(reader: &mut Reader, spec: &Object<'_>, agent: &Agent) {
    for (field, reason, hint) in WITHOUT_EFFECT {
        if let Some(at) = spec.get(field) {
            let message = format!("`{field}` is not supported by this version of errand: {reason}");
            reader.report_unsupported(&at, message, *hint);
        }
    }
    if spec.get("coordinator").is_some() {
        return;
    }
    if let (Some(at), Some(harness)) = (spec.get("harness"), unsupported_harness(agent)) {
        let message = format!("the harness {harness} is not supported by this version of errand");
        reader.report_unsupported(&at, message, "write harness: command, or leave it out");
    }
    if let (Some(at), Some(target)) = (spec.get("target"), unsupported_target(agent)) {
        let message = format!("the target {target} is not supported by this version of errand");
        let kind = reader.entries(&at).unwrap_or_default().iter().find(|it| it.key == "type");
        let at = kind.map_or_else(|| at.clone(), |entry| field_of(&at, entry));
        reader.report_unsupported(&at, message, "write target: { type: process }, or leave it out");
    }
    if let Some(at) = spec.get("command") {
        command_files(reader, &at, agent);
    }
}

fn unsupported_harness(agent: &Agent) -> Option<&'static str> {
    match agent.harness {
        Harness::Command => None,
        Harness::Acp => Some("acp"),
        Harness::React => Some("react"),
    }
}

fn unsupported_target(agent: &Agent) -> Option<&'static str> {
    match agent.target {
        Target::Process => None,
        Target::Container { .. } => Some("container"),
        Target::Kubernetes { .. } => Some("kubernetes"),
    }
}

impl Agent {
    /// Returns the fields of the definition that this version of errand cannot honour, for people. A
    /// definition that was read from a file has none of them; one that an older errand stored may.
    /// Programs differ in the harnesses and targets that they have: those are not among them.
    pub fn unsupported(&self) -> Vec<String> {
        let mut all = Vec::new();
        let lists = [("policies", self.policies.len()), ("dependencies", self.dependencies.len())];
        let given = lists.iter().filter(|(_, count)| *count > 0).map(|(name, _)| *name);
        all.extend(given.chain(self.tier.as_ref().map(|_| "tier")).map(|name| format!("`{name}`")));
        all
    }
}

/// Programs that run the script that they are given as a file.
const INTERPRETERS: &[&str] = &[
    "bash", "bun", "dash", "deno", "julia", "ksh", "lua", "node", "perl", "php", "poetry", "pypy",
    "python", "ruby", "Rscript", "sh", "tsx", "uv", "zsh",
];

/// Ends of names that scripts have.
const SCRIPT_ENDS: &[&str] = &[
    "R", "bash", "cjs", "jl", "js", "lua", "mjs", "php", "pl", "py", "r", "rb", "sh", "ts", "tsx",
    "zsh",
];

/// Options after which the interpreter reads its program from elsewhere.
const NO_SCRIPT: &[&str] = &["-c", "-e", "-m", "--eval", "-p", "--print", "-s", "--module"];

/// Notes the files without which the command cannot start: a program with a relative path, and the
/// script of an interpreter where only the agent's folder can have it.
fn command_files(reader: &mut Reader, at: &At<'_>, agent: &Agent) {
    if !matches!(&at.node.kind, Kind::List(_)) {
        return;
    }
    let items = reader.list(at);
    if items.len() != agent.command.len() || agent.harness != Harness::Command {
        return;
    }
    let Some((program, arguments)) = agent.command.split_first() else { return };
    if !program.starts_with('/') && !program.is_empty() {
        reader.refers_to(&items[0], Reference::Program(program.clone()));
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if agent.workspace != Workspace::Temp || !INTERPRETERS.contains(&plain) {
        return;
    }
    let before = arguments.iter().take_while(|word| !NO_SCRIPT.contains(&word.as_str()));
    if let Some(index) = before.map(|word| is_script(word)).position(|is_script| is_script) {
        reader.refers_to(&items[index + 1], Reference::Script(arguments[index].clone()));
    }
}

/// Whether a word is a relative path that ends as scripts do.
fn is_script(word: &str) -> bool {
    let file = word.rsplit('/').next().unwrap_or(word);
    let is_relative = !word.starts_with(['/', '-']) && !word.contains(char::is_whitespace);
    let end = file.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, end)| end);
    is_relative && end.is_some_and(|end| SCRIPT_ENDS.contains(&end))
}
