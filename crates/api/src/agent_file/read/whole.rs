//! What only the parts together can tell.

use super::super::definition::{Agent, Harness, Target};
use super::super::reader::{At, Object, Reader, field_of};
use super::super::yaml::Kind;

/// Reports what does not go together. Fields that are wrong by themselves were reported before.
pub(super) fn check(reader: &mut Reader, at: &At<'_>, spec: &Object<'_>, agent: &Agent) {
    command(reader, at, spec, agent);
    for name in &agent.secrets {
        if agent.env.contains_key(name)
            && let Some(env) = spec.get("env")
        {
            reader.report_hint(
                &env,
                format!("{name} is both a secret and a plain variable"),
                "remove it from env: the secret is set in the environment",
            );
        }
    }
    listeners(reader, spec, agent);
}

/// Reports secrets of listeners that the agent does not list.
fn listeners(reader: &mut Reader, spec: &Object<'_>, agent: &Agent) {
    let Some(listen) = spec.get("listen") else { return };
    let items = match &listen.node.kind {
        Kind::List(_) => reader.list(&listen),
        Kind::Null | Kind::Bool { .. } | Kind::Number { .. } | Kind::Text { .. } | Kind::Map(_) => {
            vec![listen]
        }
    };
    for item in items {
        let Kind::Map(_) = &item.node.kind else { continue };
        let entries = reader.entries(&item).unwrap_or_default();
        let Some(entry) = entries.iter().find(|entry| entry.key == "secret") else { continue };
        let Kind::Text { text: secret } = &field_of(&item, entry).node.kind else { continue };
        if !agent.secrets.contains(secret) {
            reader.report_hint(
                &field_of(&item, entry),
                format!("the secret {secret:?} is not one of spec.secrets"),
                format!("add secrets: [{secret}]; here stands its name, never its value"),
            );
        }
    }
}

fn command(reader: &mut Reader, at: &At<'_>, spec: &Object<'_>, agent: &Agent) {
    let given = spec.get("command");
    if spec.get("coordinator").is_some() {
        coordinator(reader, spec);
        return;
    }
    match agent.harness {
        Harness::Command => {
            if given.is_none() && matches!(agent.target, Target::Process) {
                reader.report_hint(
                    at,
                    "\"command\" is missing",
                    "write command: [python3, main.py]; a relative path is looked up beside this \
                     file first",
                );
            }
        }
        // Refused as a whole.
        Harness::Acp | Harness::React => {}
    }
}

/// Reports what a run without a process of its own has no use for.
fn coordinator(reader: &mut Reader, spec: &Object<'_>) {
    if let Some(command) = spec.get("command") {
        reader.report_hint(
            &command,
            "a coordinator runs other agents and has no command",
            "remove command or coordinator",
        );
    }
    for (field, what) in NOT_OF_A_COORDINATOR {
        if let Some(at) = spec.get(field) {
            let message = format!("a coordinator has no process: it has no use for {what}");
            reader.report_hint(&at, message, format!("give {field} to its agents"));
        }
    }
}

/// Fields of `spec` that are for a process, and what they are.
const NOT_OF_A_COORDINATOR: &[(&str, &str)] = &[
    ("harness", "a harness"),
    ("target", "a target"),
    ("workspace", "a workspace"),
    ("model", "a model"),
    ("skills", "skills"),
    ("configs", "configs"),
    ("secrets", "secrets"),
    ("env", "an environment"),
    ("tools", "tools"),
    ("mcp_servers", "MCP servers"),
    ("resources", "resources"),
    ("concurrency", "a bound on its processes"),
    ("schedules", "schedules of a service"),
    ("listen", "a listener"),
    ("restart", "a restart policy of services"),
    ("handoffs", "handoffs"),
];
