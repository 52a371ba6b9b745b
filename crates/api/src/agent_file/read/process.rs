//! What runs, where and in which surroundings.

use super::super::definition::{Agent, Harness, Target, Workspace};
use super::super::reader::{At, Object, Reader};
use super::names;

const HARNESSES: &[(&str, Harness)] =
    &[("command", Harness::Command), ("acp", Harness::Acp), ("react", Harness::React)];

/// Names that errand itself sets.
const RESERVED_PREFIX: &str = "ERRAND_";

pub(super) fn read(reader: &mut Reader, spec: &Object<'_>, agent: &mut Agent) {
    if let Some(at) = spec.get("harness") {
        agent.harness = reader.choice(&at, "a harness", HARNESSES).unwrap_or_default();
    }
    if let Some(at) = spec.get("command") {
        agent.command = command(reader, &at);
    }
    if let Some(at) = spec.get("target") {
        agent.target = target(reader, &at).unwrap_or_default();
    }
    if let Some(at) = spec.get("workspace") {
        agent.workspace = workspace(reader, &at).unwrap_or_default();
    }
    if let Some(at) = spec.get("secrets") {
        agent.secrets = secrets(reader, &at);
    }
    if let Some(at) = spec.get("env") {
        agent.env = env(reader, &at);
    }
}

/// Program and arguments; numbers and truth values are taken as they are written.
pub(super) fn command(reader: &mut Reader, at: &At<'_>) -> Vec<String> {
    use super::super::yaml::Kind;
    if let Kind::Text { text } = &at.node.kind {
        let hint = if text.contains(|c: char| "|&;<>$\"'`(".contains(c)) {
            "write command: [sh, -c, \"…\"] to have a shell read it".to_owned()
        } else {
            let words: Vec<&str> = text.split_whitespace().collect();
            format!("write command: [{}]", words.join(", "))
        };
        reader.report_hint(at, "the command is a list of program and arguments", hint);
        return Vec::new();
    }
    let items = reader.list(at);
    if matches!(&at.node.kind, Kind::List(items) if items.is_empty()) {
        reader.report(at, "the command is empty");
    }
    let words: Vec<String> = items.iter().filter_map(|item| reader.word(item)).collect();
    if words.len() == items.len() && words.first().is_some_and(|program| program.trim().is_empty())
    {
        reader.report(&items[0], "the program has no name");
    }
    words
}

pub(super) fn env(reader: &mut Reader, at: &At<'_>) -> std::collections::BTreeMap<String, String> {
    let check = |name: &str| {
        if !names::is_env_name(name) {
            return Err(format!("{name:?} cannot be the name of an environment variable"));
        }
        if name.starts_with(RESERVED_PREFIX) {
            return Err(format!("{name} is reserved: errand sets what begins with ERRAND_"));
        }
        Ok(())
    };
    reader.words_by_key(
        at,
        check,
        "write \"\" for an empty value; `errand run --env NAME=…` passes on one of the caller's",
    )
}

fn secrets(reader: &mut Reader, at: &At<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in reader.list(at) {
        let Some(name) = reader.text(&item) else { continue };
        if !names::is_secret_name(&name) {
            reader.report_hint(
                &item,
                format!("{name:?} cannot be the name of a secret"),
                "upper-case letters, digits and '_', no digit first, such as GITHUB_TOKEN",
            );
        } else if name.starts_with(RESERVED_PREFIX) {
            reader
                .report(&item, format!("{name} is reserved: errand sets what begins with ERRAND_"));
        } else if names.contains(&name) {
            reader.report(&item, format!("{name:?} is listed twice"));
        } else {
            names.push(name);
        }
    }
    names
}

#[derive(Clone, Copy)]
enum TargetType {
    Process,
    Container,
    Kubernetes,
}

const TARGETS: &[(&str, TargetType)] = &[
    ("process", TargetType::Process),
    ("container", TargetType::Container),
    ("kubernetes", TargetType::Kubernetes),
];

fn target(reader: &mut Reader, at: &At<'_>) -> Option<Target> {
    let kind = variant(reader, at, "type", "a target", TARGETS)?;
    Some(match kind {
        TargetType::Process => {
            reader.object(at, &["type"])?;
            Target::Process
        }
        TargetType::Container => {
            let fields = reader.object(at, &["type", "image"])?;
            Target::Container { image: image(reader, &fields)? }
        }
        TargetType::Kubernetes => {
            let fields = reader.object(at, &["type", "namespace", "image"])?;
            let image = image(reader, &fields);
            let namespace = fields.get("namespace").and_then(|at| {
                let name = reader.text(&at)?;
                if !names::is_dns_label(&name) {
                    let message = format!("{name:?} cannot be a namespace");
                    reader.report_hint(&at, message, names::DNS_HINT);
                }
                Some(name)
            });
            Target::Kubernetes { namespace, image: image? }
        }
    })
}

fn image(reader: &mut Reader, fields: &Object<'_>) -> Option<String> {
    let hint = "write image: registry.example/name@sha256:… or name:tag";
    let at = fields.require(reader, "image", hint)?;
    plain_argument(reader, &at, "an image reference")
}

#[derive(Clone, Copy)]
enum WorkspaceMode {
    Temp,
    Cwd,
    Worktree,
    Clone,
}

const MODES: &[(&str, WorkspaceMode)] = &[
    ("temp", WorkspaceMode::Temp),
    ("cwd", WorkspaceMode::Cwd),
    ("worktree", WorkspaceMode::Worktree),
    ("clone", WorkspaceMode::Clone),
];

fn workspace(reader: &mut Reader, at: &At<'_>) -> Option<Workspace> {
    let mode = variant(reader, at, "mode", "a workspace mode", MODES)?;
    let revision = |reader: &mut Reader, fields: &Object<'_>| {
        fields.get("ref").and_then(|at| plain_argument(reader, &at, "a branch, tag or commit"))
    };
    Some(match mode {
        WorkspaceMode::Temp => {
            reader.object(at, &["mode"])?;
            Workspace::Temp
        }
        WorkspaceMode::Cwd => {
            reader.object(at, &["mode"])?;
            Workspace::Cwd
        }
        WorkspaceMode::Worktree => {
            let fields = reader.object(at, &["mode", "ref"])?;
            let r#ref = revision(reader, &fields).unwrap_or_else(|| "HEAD".to_owned());
            Workspace::Worktree { r#ref }
        }
        WorkspaceMode::Clone => {
            let fields = reader.object(at, &["mode", "url", "ref"])?;
            let r#ref = revision(reader, &fields);
            let at = fields.require(reader, "url", "write url: https://…")?;
            Workspace::Clone { url: plain_argument(reader, &at, "a URL to clone")?, r#ref }
        }
    })
}

/// The field that says which of several shapes a mapping has.
pub(super) fn variant<T: Copy>(
    reader: &mut Reader,
    at: &At<'_>,
    field: &str,
    what: &str,
    choices: &[(&str, T)],
) -> Option<T> {
    let entries = reader.entries(at)?;
    let Some(entry) = entries.iter().find(|entry| entry.key == field) else {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let hint = format!("write {field}: and one of {}", names.join(", "));
        reader.report_hint(at, format!("{field:?} is missing"), hint);
        return None;
    };
    reader.choice(&super::super::reader::field_of(at, entry), what, choices)
}

/// Text that no program takes for an option.
fn plain_argument(reader: &mut Reader, at: &At<'_>, what: &str) -> Option<String> {
    let text = reader.text(at)?;
    if names::is_plain_argument(&text) {
        return Some(text);
    }
    reader.report_hint(
        at,
        format!("{text:?} cannot be {what}"),
        "no spaces, and no dash at the beginning",
    );
    None
}
