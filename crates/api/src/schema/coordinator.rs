//! Runs whose steps are other agents' runs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use errand_model::coordination::Aggregation;
use errand_model::event::MessageType;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::scalar::Duration;

/// Makes this a run whose steps are other agents' runs. Agents go by their registered names
/// (`name`, `name@version`), or by paths relative to this file, which have a slash in them.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Coordinator {
    /// The output of each is the input of the next.
    Chain {
        /// In this order.
        #[schemars(length(min = 1, max = 256))]
        agents: Vec<Link>,
        /// The bound on messages, as an agent may send something back: 100 if left out.
        #[schemars(range(min = 1, max = 100_000))]
        max_messages: Option<u32>,
    },
    /// All at once.
    FanOut {
        /// In any order.
        #[schemars(length(min = 1, max = 256))]
        agents: Vec<Member>,
        /// The member of the input that is a list: each of its items goes to one agent, in turn. All
        /// get the whole input if left out.
        partition: Option<String>,
        /// How their outputs become one: `merge_all` if left out.
        aggregation: Option<Aggregation>,
        /// How long each may take.
        timeout_per_agent: Option<Duration>,
        /// How many run at once; all if left out.
        #[schemars(range(min = 1))]
        max_parallel: Option<u32>,
        /// What an agent that fails or takes too long means: `fail` if left out.
        on_failure: Option<OnFailure>,
    },
    /// A graph driven by messages.
    Workflow {
        /// The node that gets the input; the first one if left out.
        start: Option<String>,
        /// The bound on messages, and so on loops: 100 if left out.
        #[schemars(range(min = 1, max = 100_000))]
        max_messages: Option<u32>,
        /// Nodes by name.
        #[schemars(extend("minProperties" = 1, "maxProperties" = 256, "propertyNames" = {
            "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$", "maxLength": 63
        }))]
        graph: BTreeMap<String, Node>,
    },
}

/// An agent of a chain: alone, or with its name and input.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Link {
    /// The agent alone.
    Agent(String),
    /// With its name and input.
    Named(NamedLink),
}

/// An agent of a chain with its name and input.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct NamedLink {
    /// The agent.
    pub agent: String,
    /// What it is called here: by default its registered name, or the last folder of its path.
    #[schemars(length(max = 63), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_-]*$"))]
    pub name: Option<String>,
    /// How its input is made: any value, in which strings may refer to `{{ input }}`,
    /// `{{ output.text }}`, `{{ outputs.other }}`, `{{ from }}` and `{{ type }}`. It is the output of
    /// the agent before if left out.
    pub input: Option<AnyValue>,
}

/// An agent: alone, or with the name that it has here.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Member {
    /// The agent alone.
    Agent(String),
    /// With its name.
    Named(NamedMember),
}

/// An agent with the name that it has here.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct NamedMember {
    /// The agent.
    pub agent: String,
    /// What it is called here: by default its registered name, or the last folder of its path.
    #[schemars(length(max = 63), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_-]*$"))]
    pub name: Option<String>,
}

/// What an agent that fails or takes too long means.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum OnFailure {
    /// By a word.
    Word(OnFailureWord),
    /// By how many have to succeed.
    AtLeast(AtLeast),
}

/// What an agent that fails means.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum OnFailureWord {
    /// The run fails, and the others are cancelled.
    Fail,
    /// Nothing, as long as one succeeds.
    Ignore,
}

/// How many have to succeed.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AtLeast {
    /// The run goes on as long as so many can succeed.
    #[schemars(range(min = 1))]
    pub min_success: u32,
}

/// Any value.
#[derive(Clone, Debug)]
pub struct AnyValue;

impl JsonSchema for AnyValue {
    fn schema_name() -> Cow<'static, str> {
        "AnyValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ (super::NULLABLE): true })
    }
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
                    "description": "Where its output goes, and where it may send messages.",
                    "type": "array",
                    "items": edge
                },
                "join": {
                    "description": "When it runs: for each message (`any`, if left out), or once \
                                    there is one from each node that has an edge to it (`all`).",
                    "enum": ["any", "all"]
                },
                "max_runs": {
                    "description": "How often it may run; as often as messages allow if left out.",
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 100_000
                },
                "input": {
                    "description": "How its input is made, as in a chain; it is the message's \
                                    payload if left out."
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

/// The messages that take an edge: all that is given has to hold.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
pub struct When {
    /// The type of message; any but `ERROR` if left out.
    pub r#type: Option<MessageType>,
    /// What the payload has to say: by JSON pointer or by the name of a top-level member, either the
    /// value itself or tests of it.
    pub payload: Option<BTreeMap<String, Condition>>,
}

/// What has to stand at a place of a payload: a value, or tests all of which have to hold.
#[derive(Clone, Debug)]
pub struct Condition;

impl JsonSchema for Condition {
    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (any, ordered) = (json_schema!({}), json_schema!({ "type": ["number", "string"] }));
        let described = |schema: &Schema, text: &str| {
            let mut schema = schema.clone();
            schema.insert("description".to_owned(), text.into());
            schema
        };
        let tests = json_schema!({
            "description": "Tests all of which have to hold.",
            "type": "object",
            "additionalProperties": false,
            "minProperties": 1,
            "properties": {
                "eq": described(&any, "It is that."),
                "ne": described(&any, "It is something else."),
                "lt": described(&ordered, "It is less."),
                "lte": described(&ordered, "It is not more."),
                "gt": described(&ordered, "It is more."),
                "gte": described(&ordered, "It is not less."),
                "in": {
                    "description": "It is one of those.",
                    "type": "array",
                    "minItems": 1
                },
                "exists": {
                    "description": "There is one, or there is none.",
                    "type": "boolean"
                }
            }
        });
        json_schema!({
            "description": "A value, or tests of what stands there.",
            "anyOf": [{ "not": { "type": "object" } }, tests],
            (super::NULLABLE): true
        })
    }
}

/// The same where a program says it, and not the file of an agent.
#[derive(Clone, Copy, Debug)]
pub struct AnyMessage;

impl JsonSchema for AnyMessage {
    fn schema_name() -> Cow<'static, str> {
        "AnyMessage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = MessageType::json_schema(generator);
        schema.insert("description".to_owned(), "What a message is.".into());
        schema
    }
}
