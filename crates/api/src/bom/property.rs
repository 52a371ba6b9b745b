//! Settings as properties, each with a name in errand's own space: `errand:…`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{PartSource, Subject, digest_of};
use crate::agent_file::{Agent, Member, TargetKind, Workspace};

/// Names and values in the order in which they were added; a name may come again.
#[derive(Debug, Default)]
pub(super) struct Properties(Vec<(String, String)>);

impl Properties {
    pub(super) fn add(&mut self, name: &str, value: &(impl ToString + ?Sized)) {
        self.0.push((format!("errand:{name}"), value.to_string()));
    }

    /// A list as one value: words of a command are told apart.
    pub(super) fn add_all(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            self.add(name, &json!(values));
        }
    }

    fn add_if(&mut self, name: &str, value: Option<&(impl ToString + ?Sized)>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// The list as the standard writes it; `null` if it is empty.
    pub(super) fn into_value(self) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        let pairs = self.0.into_iter().map(|(name, value)| json!({ "name": name, "value": value }));
        Value::Array(pairs.collect())
    }
}

/// The stored word of an enum without data.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// A URL without what may be a secret in it: user, password, query and fragment.
pub(super) fn address(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Everything that is set for an agent and is no component of it.
pub(super) fn of_agent(subject: &Subject<'_>) -> Value {
    let agent = subject.agent;
    let mut properties = Properties::default();
    properties.add("definition", &digest_of(agent));
    properties.add("harness", &word(&agent.harness));
    properties.add_all("command", &agent.command);
    target(&mut properties, &agent.target);
    workspace(&mut properties, &agent.workspace);
    properties.add_if("tier", agent.tier.as_ref());
    if let Some(tier) = &subject.tier {
        if let PartSource::Catalog { version: Some(version) } = &tier.source {
            properties.add("tier:version", version);
        }
        properties.add_if("tier:digest", tier.digest.as_ref());
    }
    let route = subject.model_route.as_ref();
    properties.add_if("model_route", route.map(|it| &it.slug).or(agent.model_route.as_ref()));
    if let Some(route) = route {
        if let PartSource::Catalog { version: Some(version) } = &route.source {
            properties.add("model_route:version", version);
        }
        properties.add_if("model_route:digest", route.digest.as_ref());
    }
    for (name, value) in &agent.labels {
        properties.add(&format!("label:{name}"), value);
    }
    for (name, value) in &agent.env {
        // The value of a variable is private; the digest shows a change of it.
        properties.add(&format!("env:{name}"), &digest_of(value));
    }
    let mut secrets: Vec<_> = agent.secrets.iter().collect();
    secrets.sort_unstable();
    for name in secrets {
        properties.add("secret", name);
    }
    if let Some(schema) = &agent.input_schema {
        properties.add("input_schema", &digest_of(schema));
    }
    if let Some(schema) = &agent.output_schema {
        properties.add("output_schema", &digest_of(schema));
    }
    limits(&mut properties, agent);
    for schedule in &agent.schedules {
        properties.add("schedule", &format!("{} ({})", schedule.cron, schedule.timezone));
    }
    for listen in &agent.listen {
        properties.add("listen", &listen.address);
    }
    if let Some(coordinator) = &agent.coordinator {
        properties.add("coordinator", &digest_of(coordinator));
        properties.add("coordinator:type", coordinator.pattern.word());
        named(&mut properties, "coordinator:agent", &coordinator.agents);
    }
    named(&mut properties, "handoff", &agent.handoffs);
    properties.into_value()
}

/// Other agents, each by the name that this one has for it: what the agent file has, and the
/// parcel.
fn named(properties: &mut Properties, what: &str, agents: &BTreeMap<String, Member>) {
    for (name, member) in agents {
        let digest = member.digest.as_ref().map(|digest| format!(" {digest}"));
        let value = format!("{}{}", member.agent, digest.unwrap_or_default());
        properties.add(&format!("{what}:{name}"), &value);
    }
}

fn target(properties: &mut Properties, target: &TargetKind) {
    match target {
        TargetKind::Process(place) => {
            properties.add("target", "process");
            if let Some(sandbox) = &place.sandbox {
                properties.add("target:filesystem", sandbox.filesystem.name());
                properties.add("target:network", sandbox.network.name());
            }
        }
        TargetKind::Container(_) => properties.add("target", "container"),
        TargetKind::Kubernetes(place) => {
            properties.add("target", "kubernetes");
            properties.add_if("target:namespace", place.namespace.as_ref());
        }
    }
}

fn workspace(properties: &mut Properties, workspace: &Workspace) {
    match workspace {
        Workspace::Temp => properties.add("workspace", "temp"),
        Workspace::Cwd => properties.add("workspace", "cwd"),
        Workspace::Worktree { r#ref } => {
            properties.add("workspace", "worktree");
            properties.add("workspace:ref", r#ref);
        }
        Workspace::Clone { url, r#ref } => {
            properties.add("workspace", "clone");
            properties.add("workspace:url", &address(url));
            properties.add_if("workspace:ref", r#ref.as_ref());
        }
    }
}

/// Everything that bounds a run, member by member: what is not set is not listed.
fn limits(properties: &mut Properties, agent: &Agent) {
    members(properties, "timeout", &agent.timeouts);
    members(properties, "retry", &agent.retry_policy);
    members(properties, "budget", &agent.budgets);
    members(properties, "resource", &agent.resources);
}

fn members(properties: &mut Properties, prefix: &str, value: &impl Serialize) {
    let Ok(Value::Object(members)) = serde_json::to_value(value) else { return };
    let mut members: Vec<_> = members.into_iter().filter(|(_, value)| !value.is_null()).collect();
    members.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in members {
        match value {
            Value::String(text) => properties.add(&format!("{prefix}:{name}"), &text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => properties.add(&format!("{prefix}:{name}"), &value),
        }
    }
}
