//! Tools that an agent is offered: those of all its servers, under names of their own.

use std::collections::BTreeMap;

use errand_agent::agent_api::CalledTool;
use errand_agent::tool_door::{self, ToolServerOrder};
use errand_model::accounting::SideEffect;
use errand_model::pattern;
use errand_wire::mcp::ListedTool;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bounds;

/// Tools of a run, as they were when they were listed first. The step of the list keeps them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct OfferedTools {
    pub(crate) tools: Vec<OfferedTool>,
}

/// A tool as the agent finds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OfferedTool {
    /// Name of its server.
    pub(crate) server: String,
    /// Definition by the server, with the server's name for it.
    pub(crate) definition: Value,
}

/// Error: two tools have the same name for the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolNameTaken {
    pub(crate) name: String,
    pub(crate) servers: [String; 2],
}

impl OfferedTools {
    /// Checks the names of tools. Returns those whose names are too long, which are not offered.
    pub(crate) fn check(&mut self) -> Result<Vec<String>, ToolNameTaken> {
        let mut seen = BTreeMap::new();
        let mut left_out = Vec::new();
        for tool in &self.tools {
            let name = tool.offered_name();
            if name.chars().count() > bounds::NAME_CHARS {
                left_out.push(name);
                continue;
            }
            if let Some(other) = seen.insert(name.clone(), &tool.server) {
                let servers = [other.clone(), tool.server.clone()];
                return Err(ToolNameTaken { name, servers });
            }
        }
        self.tools.retain(|tool| tool.offered_name().chars().count() <= bounds::NAME_CHARS);
        Ok(left_out)
    }

    /// Returns the tool of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&OfferedTool> {
        self.tools.iter().find(|tool| tool.offered_name() == name)
    }
}

impl OfferedTool {
    /// Name on its server.
    pub(crate) fn own_name(&self) -> &str {
        self.definition["name"].as_str().unwrap_or_default()
    }

    /// Name for the agent.
    pub(crate) fn offered_name(&self) -> String {
        tool_door::offered_name(&self.server, self.own_name())
    }

    /// Definition with the agent's name for the tool.
    pub(crate) fn offered(&self) -> Value {
        let mut definition = self.definition.clone();
        definition["name"] = self.offered_name().into();
        definition
    }

    /// Names of the tool, for policies.
    pub(crate) fn called(&self) -> CalledTool {
        CalledTool {
            server: self.server.clone(),
            name: self.own_name().to_owned(),
            offered: self.offered_name(),
        }
    }

    /// Returns the side effect of the tool, and whether it may be called again after a call of it
    /// was cut: the agent file decides, and else the claims of the server.
    pub(crate) fn effect(&self, server: &ToolServerOrder) -> (Option<SideEffect>, bool) {
        let name = self.own_name();
        let written = server.effects.iter().find(|(known, _)| pattern::matches(known, name));
        if let Some((_, effect)) = written {
            return (Some(*effect), *effect == SideEffect::ReadOnly);
        }
        let Some(ListedTool { hints, .. }) = ListedTool::of(&self.definition) else {
            return (None, false);
        };
        if hints.read_only == Some(true) {
            return (Some(SideEffect::ReadOnly), true);
        }
        let effect = match (hints.open_world, hints.destructive) {
            (Some(false), _) => Some(SideEffect::LocalWrite),
            (Some(true), _) | (None, Some(_)) => Some(SideEffect::ExternalWrite),
            (None, None) => None,
        };
        (effect, hints.idempotent == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(server: &str, name: &str) -> OfferedTool {
        OfferedTool { server: server.to_owned(), definition: json!({ "name": name, "x": 1 }) }
    }

    #[test]
    fn names_are_made_of_server_and_tool_and_collisions_are_found() {
        assert_eq!(tool("git.hub", "get/issue é").offered_name(), "git_hub_get_issue__");
        assert_eq!(tool("a", "b").offered(), json!({ "name": "a_b", "x": 1 }));
        let mut all = OfferedTools { tools: vec![tool("a", "b_c"), tool("a", &"x".repeat(64))] };
        assert_eq!(all.check(), Ok(vec![format!("a_{}", "x".repeat(64))]));
        assert_eq!(all.tools.len(), 1);
        all.tools.push(tool("a_b", "c"));
        let taken = all.check().unwrap_err();
        assert_eq!((taken.name.as_str(), taken.servers), ("a_b_c", ["a".into(), "a_b".into()]));
    }
}
