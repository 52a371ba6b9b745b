//! Tools that the servers of recorded runs offered, compared with the rules of policies.

use std::collections::BTreeSet;
use std::fmt;

use errand_agent::tool_door::{LIST_STEP, offered_name};
use errand_api::agent_file::closest;
use errand_model::accounting::TOOL_CALLED;
use errand_model::event::EventBody;
use errand_model::{Event, Payload, RunId};
use errand_policy::{IdleToolRule, Policy};
use serde_json::Value;

use crate::commands::output::blob_bytes;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

/// Names of the tools of recorded runs.
#[derive(Debug, Default)]
pub(super) struct ListedTools {
    names: BTreeSet<String>,
    /// A run has a list of tools: without one, nothing is known about rules.
    has_list: bool,
}

/// A rule that is about none of the tools.
pub(super) struct IdleRule {
    policy: String,
    rule: IdleToolRule,
    near: Option<String>,
}

impl ListedTools {
    /// Adds the tools of an event.
    pub(super) async fn add(
        &mut self,
        place: &RegistryOrServer,
        run_id: &RunId,
        event: &Event,
    ) -> Result<(), Failure> {
        match event.body() {
            Ok(EventBody::StepCompleted(done)) if done.key == LIST_STEP => {
                let list = match done.output {
                    Some(Payload::Json(list)) => list,
                    Some(Payload::Blob(blob)) => {
                        let bytes = blob_bytes(place, run_id, &blob.digest).await?;
                        serde_json::from_slice(&bytes).unwrap_or_default()
                    }
                    Some(Payload::Text(_) | Payload::Base64(_)) | None => Value::Null,
                };
                self.has_list = true;
                for tool in list["tools"].as_array().into_iter().flatten() {
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    let (server, name) = (text(&tool["server"]), text(&tool["definition"]["name"]));
                    self.names.extend([offered_name(&server, &name), name]);
                }
            }
            Ok(EventBody::Reported(reported)) if reported.type_name() == TOOL_CALLED => {
                self.names.extend(reported.data()["name"].as_str().map(str::to_owned));
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the rules that are about none of them.
    pub(super) fn idle(&self, policies: &[Policy]) -> Vec<IdleRule> {
        if !self.has_list {
            return Vec::new();
        }
        let names: Vec<String> = self.names.iter().cloned().collect();
        let of = |policy: &Policy| {
            let title = policy.title();
            policy.idle_tool_rules(&names).into_iter().map(move |rule| (title.clone(), rule))
        };
        let near = |rule: &IdleToolRule| {
            let found = closest(&rule.name, names.iter().map(String::as_str));
            found.filter(|_| !rule.is_pattern).map(str::to_owned)
        };
        let all = policies.iter().flat_map(of);
        all.map(|(policy, rule)| IdleRule { policy, near: near(&rule), rule }).collect()
    }
}

impl fmt::Display for IdleRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IdleToolRule { list, name, .. } = &self.rule;
        write!(f, "the rule {name:?} in {list} of {} is about no tool of these runs", self.policy)?;
        match &self.near {
            Some(near) => write!(f, "; did you mean {near:?}?"),
            None => Ok(()),
        }
    }
}
