//! Runs whose steps are other agents' runs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::scalar::Duration;

/// Makes this a run whose steps are other agents' runs. Agents go by their registered names, or by
/// paths relative to this file.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Coordinator {
    /// The output of each is the input of the next.
    Chain {
        /// In this order.
        #[schemars(length(min = 1))]
        agents: Vec<String>,
    },
    /// All at once.
    FanOut {
        /// In any order.
        #[schemars(length(min = 1))]
        agents: Vec<String>,
        /// How their outputs become one: `merge_all` if left out.
        aggregation: Option<Aggregation>,
        /// How long each may take.
        timeout_per_agent: Option<Duration>,
        /// How many run at once; all if left out.
        #[schemars(range(min = 1))]
        max_parallel: Option<u32>,
    },
    /// A graph driven by messages.
    Workflow {
        /// The node that gets the input; the first one if left out.
        start: Option<String>,
        /// The bound on messages, and so on loops: 100 if left out.
        #[schemars(range(min = 1, max = 100_000))]
        max_messages: Option<u32>,
        /// Nodes by name.
        #[schemars(extend("minProperties" = 1))]
        graph: BTreeMap<String, Node>,
    },
}

/// How outputs become one.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Aggregation {
    /// One object of all.
    MergeAll,
    /// The first that succeeds; the others are cancelled.
    FirstSuccess,
    /// What most of them say.
    Majority,
    /// A list of all.
    Collect,
}

/// One node of a workflow; may be left empty.
#[derive(Clone, Debug)]
pub struct Node;

impl JsonSchema for Node {
    fn schema_name() -> Cow<'static, str> {
        "Node".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let edge = generator.subschema_for::<Edge>();
        json_schema!({
            "description": "One node of a workflow; may be left empty.",
            "type": ["object", "null"],
            "additionalProperties": false,
            "properties": {
                "agent": {
                    "description": "The agent; the one that has the node's name if left out.",
                    "type": "string"
                },
                "outputs_to": {
                    "description": "Where its messages go.",
                    "type": "array",
                    "items": edge
                }
            },
            (super::NULLABLE): true
        })
    }
}

/// One edge of a workflow: the name of a node (or `__end__`, `__self__`, `__prev__`, `__next__`),
/// or that and a condition.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Edge {
    /// The node alone.
    To(String),
    /// A node and a condition.
    Outcome(Outcome),
}

/// A node and a condition.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Outcome {
    /// The node.
    pub to: String,
    /// The condition; none if left out.
    pub when: Option<When>,
}

/// The messages that take an edge.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct When {
    /// The type of message.
    pub r#type: MessageType,
}

/// What a message between agents is.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MessageType {
    /// Work to do.
    Task,
    /// What came of it.
    Result,
    /// A verdict on a result.
    Validation,
    /// Something went wrong.
    Error,
    /// For the coordination itself.
    Control,
}
