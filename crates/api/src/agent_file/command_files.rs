//! Files that an agent's command needs.

use super::at::At;
use super::definition::{Agent, HarnessKind, Workspace};
use super::known::FileReference;
use super::reader::Reader;

/// Programs that run the script that they are given as a file.
const INTERPRETERS: &[&str] = &[
    "bash", "bun", "dash", "deno", "julia", "ksh", "lua", "node", "perl", "php", "poetry", "pypy",
    "python", "ruby", "Rscript", "sh", "tsx", "uv", "zsh",
];

/// Extensions of scripts.
const SCRIPT_ENDS: &[&str] = &[
    "R", "bash", "cjs", "jl", "js", "lua", "mjs", "php", "pl", "py", "r", "rb", "sh", "ts", "tsx",
    "zsh",
];

/// Options after which the interpreter reads its program from elsewhere.
const NO_SCRIPT: &[&str] = &["-c", "-e", "-m", "--eval", "-p", "--print", "-s", "--module"];

/// Notes the files without which the command cannot start: a program with a relative path, and the
/// script of an interpreter where only the agent's folder can have it.
pub(super) fn note(reader: &mut Reader, spec: &At<'_>, agent: &Agent) {
    if spec.field("coordinator").is_some() || agent.harness != HarnessKind::Command {
        return;
    }
    let items = spec.field("command").map(|at| at.items()).unwrap_or_default();
    if items.len() != agent.command.len() {
        return;
    }
    let Some((program, arguments)) = agent.command.split_first() else { return };
    if !program.starts_with('/') && !program.is_empty() {
        reader.refers_to(&items[0], FileReference::Program(program.clone()));
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if agent.workspace != Workspace::Temp || !INTERPRETERS.contains(&plain) {
        return;
    }
    let before = arguments.iter().take_while(|word| !NO_SCRIPT.contains(&word.as_str()));
    if let Some(index) = before.map(|word| is_script(word)).position(|is_script| is_script) {
        reader.refers_to(&items[index + 1], FileReference::Script(arguments[index].clone()));
    }
}

/// Reports whether a word is a relative path that ends as scripts do.
fn is_script(word: &str) -> bool {
    let file = word.rsplit('/').next().unwrap_or(word);
    let is_relative = !word.starts_with(['/', '-']) && !word.contains(char::is_whitespace);
    let end = file.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, end)| end);
    is_relative && end.is_some_and(|end| SCRIPT_ENDS.contains(&end))
}
