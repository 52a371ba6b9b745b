//! Summary of the calls of a run: what policies see of its past.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Different tools, side effects and labels that a summary names. A run has few; a larger number is
/// that of an agent that makes names up.
const NAMES: usize = 256;
/// Name that stands for those that have no room.
const OTHERS: &str = "(others)";

/// Calls of a run so far, and labels of the data that it has read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallSummary {
    /// Calls by tool.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, u64>,
    /// Calls of tools by side effect.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub side_effects: BTreeMap<String, u64>,
    /// Labels of the data that the run has read: by its tools, and by obligations of policies.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
}

impl CallSummary {
    /// Returns true if nothing was called and nothing has a label.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds a call of a tool, by the data of its event.
    pub fn add_tool(&mut self, data: &Value) {
        if let Some(name) = data.get("name").and_then(Value::as_str) {
            count(&mut self.tools, name);
        }
        if let Some(effect) = data.get("side_effect").and_then(Value::as_str) {
            count(&mut self.side_effects, effect);
        }
        let labels = data.get("labels").and_then(Value::as_array);
        self.add_labels(labels.into_iter().flatten().filter_map(Value::as_str));
    }

    /// Adds labels of data that the run has read.
    pub fn add_labels<'a>(&mut self, labels: impl IntoIterator<Item = &'a str>) {
        for label in labels {
            let has_room = self.labels.len() < NAMES || self.labels.contains(label);
            self.labels.insert(if has_room { label } else { OTHERS }.to_owned());
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    let has_room = counts.len() < NAMES || counts.contains_key(name);
    *counts.entry(if has_room { name } else { OTHERS }.to_owned()).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_past_the_bound_are_counted_together() {
        let mut summary = CallSummary::default();
        for number in 0..NAMES + 5 {
            summary.add_tool(&json!({ "name": format!("tool{number}"), "labels": ["web"] }));
        }
        assert_eq!((summary.tools.len(), summary.tools[OTHERS]), (NAMES + 1, 5));
        assert_eq!(summary.labels.iter().collect::<Vec<_>>(), ["web"]);
    }
}
