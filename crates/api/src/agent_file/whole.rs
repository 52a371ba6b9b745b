//! Rules about several fields together.

use std::collections::HashSet;

use errand_model::budget::OnWarn;

use super::at::At;
use super::container::ContainerNetwork;
use super::definition::{Agent, TargetKind, Workspace};
use super::http::parse_address;
use super::listen::Listen;
use super::reader::Reader;
use super::yaml::Kind;

/// Reports what does not go together. Fields that are wrong by themselves were reported before.
pub(super) fn check(reader: &mut Reader, spec: &At<'_>, agent: &Agent) {
    if spec.field("coordinator").is_some() {
        coordinator(reader, spec);
    } else if spec.field("command").is_none()
        && is_or_absent(spec.field("harness"), "command")
        && !has_command_of_image(spec)
    {
        let hint = "write command: [python3, main.py]; a relative path is looked up beside this \
                    file first";
        reader.report_hint(spec, "\"command\" is missing", hint);
    }
    for name in &agent.secrets {
        if agent.env.contains_key(name)
            && let Some(env) = spec.field("env")
        {
            let message = format!("{name} is both a secret and a plain variable");
            let hint = "remove it from env: the secret is set in the environment";
            reader.report_hint(&env, message, hint);
        }
    }
    if let (Some(policy), Some(at)) = (&agent.policy, spec.field("policy")) {
        policy.check(reader, &at, None);
        let has_proxy = match &agent.target {
            TargetKind::Process(place) => place.has_proxy(),
            TargetKind::Container(_) | TargetKind::Kubernetes(_) => false,
        };
        if policy.egress.is_some()
            && !has_proxy
            && let Some(at) = at.field("egress")
        {
            let message = "rules about hosts need a sandbox whose network is errand's";
            let hint = "write target: { type: process, sandbox: { network: gateway } }";
            reader.report_hint(&at, message, hint);
        }
    }
    unique_names(reader, spec, "tools", "tool");
    unique_names(reader, spec, "mcp_servers", "server");
    mcp_servers(reader, spec);
    container(reader, spec, agent);
    processes(reader, spec);
    dispatcher(reader, spec);
    doors(reader, spec, agent);
    steering(reader, spec, agent);
    kubernetes(reader, spec, agent);
    schedules(reader, spec, agent);
    listeners(reader, spec, agent);
}

/// Reports whether the command of an image is run where the agent file has none. Kubernetes does not
/// tell the command of an image.
fn has_command_of_image(spec: &At<'_>) -> bool {
    let kind = spec.field("target").and_then(|at| at.field("type"));
    kind.is_some_and(|at| !["process", "kubernetes"].contains(&at.text().unwrap_or_default()))
}

/// Reports whether a field has that word, or is left out.
fn is_or_absent(field: Option<At<'_>>, word: &str) -> bool {
    field.is_none_or(|at| at.text() == Some(word))
}

/// Reports items of a list that have the name of an earlier one.
fn unique_names(reader: &mut Reader, spec: &At<'_>, field: &str, what: &str) {
    let mut seen = HashSet::new();
    for item in spec.field(field).map(|at| at.items()).unwrap_or_default() {
        let name = item.field("name").map_or_else(|| item.text(), |name| name.text());
        if let Some(name) = name.filter(|name| !seen.insert(*name)) {
            reader.report(&item, format!("the {what} {name:?} is listed twice"));
        }
    }
}

/// Reports MCP servers that are neither on stdio nor on HTTP, or both.
fn mcp_servers(reader: &mut Reader, spec: &At<'_>) {
    let message = "an MCP server has a command or a url";
    for item in spec.field("mcp_servers").map(|at| at.items()).unwrap_or_default() {
        match (item.field("command"), item.field("url")) {
            (None, None) if item.is_map() => {
                let hint = "write command: [program, …] for one on stdio, url: https://… for \
                            another";
                reader.report_hint(&item, message, hint);
            }
            (Some(_), Some(url)) => reader.report_hint(&url, message, "remove one of them"),
            (Some(_), None) => {
                if let Some(at) = item.field("headers") {
                    let message = "a server on stdio has no headers";
                    reader.report_hint(&at, message, "write env: for its variables");
                }
            }
            (None, Some(_)) => {
                if let Some(at) = item.field("env") {
                    let message =
                        "errand does not start a server with a url: it has no environment";
                    reader.report_hint(&at, message, "write headers: for those of requests to it");
                }
            }
            (None, None) => {}
        }
    }
}

/// Reports ports and mounts of a container that are listed twice, and ports without a network.
fn container(reader: &mut Reader, spec: &At<'_>, agent: &Agent) {
    let (Some(target), TargetKind::Container(place)) = (spec.field("target"), &agent.target) else {
        return;
    };
    let items = |name: &str| target.field(name).map(|at| at.items()).unwrap_or_default();
    let mut seen = HashSet::new();
    for (item, port) in items("ports").iter().zip(&place.ports) {
        if !seen.insert((port.container_port, port.protocol.name())) {
            reader.report(item, format!("the port {} is listed twice", port.container_port));
        }
    }
    let mut seen = HashSet::new();
    for (item, mount) in items("mounts").iter().zip(&place.mounts) {
        if !seen.insert(mount.target.trim_end_matches('/')) {
            reader.report(item, format!("two mounts have the target {}", mount.target));
        }
    }
    if place.network == ContainerNetwork::None
        && let Some(ports) = target.field("ports").filter(|_| !place.ports.is_empty())
    {
        let hint = "remove the ports, or write network: bridge";
        reader.report_hint(&ports, "a container without a network has no ports", hint);
    }
}

/// Reports a limit of processes for an agent that is no container.
fn processes(reader: &mut Reader, spec: &At<'_>) {
    let target = spec.field("target").and_then(|at| at.field("type"));
    if let Some(at) = spec.field("resources").and_then(|at| at.field("pids")) {
        let message = match target.and_then(|at| at.text()) {
            Some("container") => return,
            Some("kubernetes") => "a Pod has no limit of processes of its own: its node has one",
            Some(_) | None => "a process of this machine has no limit of processes",
        };
        reader.report_hint(
            &at,
            message,
            "remove it, or write target: { type: container, image: … }",
        );
    }
}

/// Reports what an agent asks for that a task of a dispatcher cannot have.
fn dispatcher(reader: &mut Reader, spec: &At<'_>) {
    let Some(named) = spec.field("dispatcher") else { return };
    let target = spec.field("target");
    if is_or_absent(target.and_then(|at| at.field("type")), "process") {
        let hint = "add target: { type: container, image: … }, or remove the dispatcher";
        reader.report_hint(
            &named,
            "a dispatcher runs containers, and the target is a process",
            hint,
        );
        return;
    }
    let hint = "remove it, or the dispatcher";
    for field in [
        "pull",
        "user",
        "network",
        "mounts",
        "runtime",
        "read_only_root",
        "capabilities",
        "image_pull_secrets",
    ] {
        if let Some(at) = spec.field("target").and_then(|at| at.field(field)) {
            reader.report_hint(&at, format!("a task of a dispatcher has no {field}"), hint);
        }
    }
    if let Some(at) = spec.field("resources").and_then(|at| at.field("gpu")) {
        reader.report_hint(&at, "a task of a dispatcher has no gpu", hint);
    }
    if let Some(at) = spec.field("budgets") {
        let message = "budgets do not reach a task of a dispatcher by this version of errand";
        reader.report_hint(&at, message, hint);
    }
    let workspace = spec.field("workspace");
    if let Some(at) = workspace.filter(|at| !is_or_absent(at.field("mode"), "temp")) {
        let message = "a task of a dispatcher works in a folder of its own";
        reader.report_hint(&at, message, "remove the workspace, or the dispatcher");
    }
}

/// Reports providers and tool servers of an agent that cannot reach the door to them.
fn doors(reader: &mut Reader, spec: &At<'_>, agent: &Agent) {
    let reaches_door = match agent.target {
        TargetKind::Process(_) | TargetKind::Container(_) => agent.dispatcher.is_none(),
        TargetKind::Kubernetes(_) => false,
    };
    let has = [
        ("providers", !agent.providers.is_empty()),
        ("mcp_servers", !agent.mcp_servers.is_empty()),
    ];
    for (name, _) in has.into_iter().filter(|(_, has)| *has && !reaches_door) {
        let Some(at) = spec.field(name) else { continue };
        let message =
            format!("`{name}` are not supported for this target by this version of errand");
        let hint = "remove them, or use the target process or container";
        reader.report_unsupported(&at, message, hint);
    }
}

/// Reports texts for models whose calls do not come through errand.
fn steering(reader: &mut Reader, spec: &At<'_>, agent: &Agent) {
    let is_told = agent.budgets.on_warn == OnWarn::Steer;
    let at = spec.field("budgets").and_then(|at| at.field("on_warn"));
    if let (true, true, Some(at)) = (is_told, agent.providers.is_empty(), at) {
        let message = "errand can tell a model about the budget in calls that it passes on alone";
        let hint = "add providers, such as openai: { key: OPENAI_API_KEY }, or remove on_warn";
        reader.report_hint(&at, message, hint);
    }
}

/// Reports a workspace that a Pod cannot have: folders and repositories of the caller's machine.
fn kubernetes(reader: &mut Reader, spec: &At<'_>, agent: &Agent) {
    let is_temp = agent.workspace == Workspace::Temp;
    if let (TargetKind::Kubernetes(_), false, Some(workspace)) =
        (&agent.target, is_temp, spec.field("workspace"))
    {
        let hint = "write workspace: { mode: temp }; the files beside the agent file are in \
                    $ERRAND_AGENT_DIR";
        let message = "an agent in a Pod has no other workspace than one of mode temp";
        reader.report_hint(&workspace, message, hint);
    }
}

/// Reports schedules that say the same as an earlier one.
fn schedules(reader: &mut Reader, spec: &At<'_>, agent: &Agent) {
    let items = spec.field("schedules").map(|at| at.items()).unwrap_or_default();
    if items.len() != agent.schedules.len() {
        return;
    }
    for (index, item) in items.iter().enumerate() {
        if agent.schedules[..index].contains(&agent.schedules[index]) {
            reader.report(item, "the same schedule is listed twice");
        }
    }
}

/// Reports listeners with the address of another, or without a secret that they need and that the
/// agent lists.
fn listeners(reader: &mut Reader, spec: &At<'_>, agent: &Agent) {
    let Some(listen) = spec.field("listen") else { return };
    let items =
        if matches!(listen.node.kind, Kind::List(_)) { listen.items() } else { vec![listen] };
    let mut seen = HashSet::new();
    for item in items.iter().filter(|item| item.is_map()) {
        let given = item.field("address");
        let address = match given.as_ref().map(|at| at.text().map(parse_address)) {
            None => Some(Listen::DEFAULT_ADDRESS),
            Some(parsed) => parsed.and_then(Result::ok),
        };
        let secret = item.field("secret");
        if let Some(address) = address.filter(|address| !seen.insert(*address)) {
            let hint = "give each listener an address of its own";
            reader.report_hint(item, format!("{address} is listed twice"), hint);
        }
        if let (Some(at), Some(address), None) = (&given, address, &secret)
            && !address.ip().is_loopback()
        {
            let message = "an address that other machines reach needs a secret";
            let hint = "add secret: WEBHOOK_SECRET (and list it in spec.secrets), or listen on \
                        127.0.0.1";
            reader.report_hint(at, message, hint);
        }
        if let Some(at) = secret
            && let Some(name) = at.text()
            && !agent.secrets.iter().any(|it| it == name)
        {
            let message = format!("the secret {name:?} is not one of spec.secrets");
            let hint = format!("add secrets: [{name}]; here stands its name, never its value");
            reader.report_hint(&at, message, hint);
        }
    }
}

/// Reports what a run without a process of its own has no use for.
fn coordinator(reader: &mut Reader, spec: &At<'_>) {
    if let Some(command) = spec.field("command") {
        reader.report_hint(
            &command,
            "a coordinator runs other agents and has no command",
            "remove command or coordinator",
        );
    }
    for (field, what) in NOT_OF_A_COORDINATOR {
        if let Some(at) = spec.field(field) {
            let message = format!("a coordinator has no process: it has no use for {what}");
            reader.report_hint(&at, message, format!("give {field} to its agents"));
        }
    }
}

/// Fields of `spec` that are for a process, and what they are.
const NOT_OF_A_COORDINATOR: &[(&str, &str)] = &[
    ("harness", "a harness"),
    ("target", "a target"),
    ("dispatcher", "a dispatcher"),
    ("workspace", "a workspace"),
    ("model", "a model"),
    ("providers", "providers"),
    ("model_route", "a model route"),
    ("replay", "settings of model calls"),
    ("observability", "a record of model calls"),
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
