//! Coordinators and handoffs as a file writes them.
//!
//! The definition has another form: agents by name, whatever the pattern, and the model's
//! `Pattern`, in which every name and default is filled in. Types that only describe what a file
//! may say are named by the fields that are read through them, in `#[schemars(with = "…")]`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use errand_model::event::MessageType;
use errand_model::plan::{Aggregation, Edge, Join, OnFailure};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::scalar::DurationText;

/// Mark of a schema in which null is meant.
pub(crate) const NULLABLE: &str = "x-nullable";

/// Makes this a run whose steps are other agents' runs. Agents go by their registered names
/// (`name`, `name@version`), or by paths relative to this file, which have a slash in them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Coordinator")]
pub enum CoordinatorForm {
    /// The output of each is the input of the next.
    Chain {
        /// In this order.
        #[schemars(with = "Links", extend("examples" = [["first", "second"]]))]
        agents: Vec<NamedLink>,
        /// The bound on messages, as an agent may send something back: 100 if left out.
        #[schemars(range(min = 1, max = 100_000))]
        max_messages: Option<u32>,
    },
    /// All at once.
    FanOut {
        /// In any order.
        #[schemars(with = "Members", extend("examples" = [["first", "second"]]))]
        agents: Vec<NamedMember>,
        /// The member of the input that is a list: each of its items goes to one agent, in turn.
        /// All get the whole input if left out.
        partition: Option<String>,
        /// Aggregation of the outputs: `merge_all` if left out.
        #[serde(default)]
        aggregation: Aggregation,
        /// Time limit of each agent.
        #[schemars(with = "Option<DurationText>")]
        timeout_per_agent: Option<u64>,
        /// Number of agents that run at once; all if left out.
        #[schemars(range(min = 1))]
        max_parallel: Option<u32>,
        /// Consequence of an agent that fails or takes too long: `fail` if left out.
        #[serde(default)]
        on_failure: OnFailure,
    },
    /// A graph driven by messages.
    Workflow {
        /// The node that gets the input; the first one if left out.
        #[schemars(with = "Option<NodeName>")]
        start: Option<String>,
        /// The bound on messages, and so on loops: 100 if left out.
        #[schemars(range(min = 1, max = 100_000))]
        max_messages: Option<u32>,
        /// Nodes by name.
        #[schemars(with = "WorkflowForm", extend("examples" = [{ "first": {} }]))]
        graph: BTreeMap<String, NodeForm>,
    },
}

/// Agents of a chain.
#[derive(Clone, Debug, JsonSchema)]
pub struct Links(#[schemars(length(min = 1, max = 256))] pub Vec<LinkForm>);

/// An agent of a chain: alone, or with its name and input.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "Link", untagged)]
pub enum LinkForm {
    /// The agent alone.
    Agent(AgentReference),
    /// With its name and input.
    Named(NamedLink),
}

/// An agent of a chain with its name and input.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedLink {
    /// The agent.
    #[schemars(with = "AgentReference")]
    pub agent: String,
    /// Name within the coordinator: by default its registered name, or the last folder of its path.
    #[serde(default)]
    #[schemars(with = "MemberName")]
    pub name: String,
    /// Template of its input: any value, in which strings may refer to `{{ input }}`, `{{
    /// output.text }}`, `{{ outputs.other }}`, `{{ from }}` and `{{ type }}`. The output of the
    /// agent before if left out.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Template")]
    pub input: Option<Value>,
}

/// Agents of a fan-out.
#[derive(Clone, Debug, JsonSchema)]
pub struct Members(#[schemars(length(min = 1, max = 256))] pub Vec<MemberForm>);

/// Agents that a run may be handed over to.
#[derive(Clone, Debug, JsonSchema)]
pub struct Handoffs(#[schemars(length(max = 256))] pub Vec<MemberForm>);

/// An agent: alone, or with the name that it has here.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "Member", untagged)]
pub enum MemberForm {
    /// The agent alone.
    Agent(AgentReference),
    /// With its name.
    Named(NamedMember),
}

/// An agent with the name that it has here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedMember {
    /// The agent.
    #[schemars(with = "AgentReference")]
    pub agent: String,
    /// Name within the coordinator: by default its registered name, or the last folder of its path.
    #[serde(default)]
    #[schemars(with = "MemberName")]
    pub name: String,
}

/// Nodes by name.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 256, "propertyNames" = {
    "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$", "maxLength": 63
}))]
#[schemars(rename = "Graph")]
pub struct WorkflowForm(pub BTreeMap<String, NodeForm>);

/// A node of a workflow; may be left empty.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Node", extend("type" = ["object", "null"], "x-nullable" = true))]
pub struct NodeForm {
    /// The agent; the one that has the node's name if left out.
    #[schemars(with = "AgentReference")]
    pub agent: Option<String>,
    /// Edges for its output, and for its messages.
    #[schemars(with = "Edges")]
    pub outputs_to: Vec<Edge>,
    /// Condition for its start: each message (`any`, if left out), or one from each node that has
    /// an edge to it (`all`).
    pub join: Join,
    /// Largest number of its runs; as many as messages allow if left out.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_runs: Option<u32>,
    /// Template of its input, as in a chain; the message's payload if left out.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Template")]
    pub input: Option<Value>,
}

/// Reads a value that is there: `null` is one.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Edges of a node.
#[derive(Clone, Debug, JsonSchema)]
pub struct Edges(pub Vec<EdgeForm>);

/// An edge of a workflow: the name of a node (or `__end__`, `__self__`, `__prev__`, `__next__`), or
/// that and a condition.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "Edge", untagged)]
pub enum EdgeForm {
    /// The node alone.
    To(EdgeTarget),
    /// A node and a condition.
    Outcome(OutcomeForm),
}

/// A node and a condition.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(rename = "Outcome")]
pub struct OutcomeForm {
    /// The node.
    #[schemars(extend("examples" = ["__end__"]))]
    pub to: EdgeTarget,
    /// The condition; none if left out.
    pub when: Option<WhenForm>,
}

/// The messages that take an edge: all that is given has to hold.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "When", deny_unknown_fields, extend("minProperties" = 1))]
pub struct WhenForm {
    /// The type of message; any but `ERROR` if left out.
    pub r#type: Option<MessageType>,
    /// Conditions on the payload: by JSON pointer or by the name of a top-level member, either the
    /// value itself or tests of it.
    pub payload: Option<Conditions>,
}

/// Conditions by the place in the payload.
#[derive(Clone, Debug, JsonSchema)]
pub struct Conditions(pub BTreeMap<String, ConditionForm>);

/// Condition on a place of a payload: a value, or tests all of which have to hold.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "Condition", untagged)]
pub enum ConditionForm {
    /// Equal to the value.
    Value(PlainValue),
    /// Tests all of which have to hold.
    Tests(Tests),
}

/// Tests of a value.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
pub struct Tests {
    /// Equal to the value.
    pub eq: Option<AnyValue>,
    /// Not equal to the value.
    pub ne: Option<AnyValue>,
    /// Less than the value.
    pub lt: Option<Ordered>,
    /// At most the value.
    pub lte: Option<Ordered>,
    /// Greater than the value.
    pub gt: Option<Ordered>,
    /// At least the value.
    pub gte: Option<Ordered>,
    /// Equal to one of the values.
    #[schemars(length(min = 1))]
    pub r#in: Option<Vec<AnyValue>>,
    /// There is one, or there is none.
    pub exists: Option<bool>,
}

macro_rules! described {
    ($($(#[doc = $doc:literal])* $name:ident = $schema:tt;)*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    let mut schema = json_schema!($schema);
                    let description = [$($doc.trim()),*].join("\n");
                    schema.insert("description".to_owned(), description.into());
                    schema
                }
            }
        )*
    };
}

described! {
    /// An agent: `name`, `name@version`, or a path relative to this file.
    AgentReference = { "type": "string", "examples": ["reviewer"] };
    /// Letters, digits, `-` and `_`, a letter or digit first.
    MemberName = {
        "type": "string", "maxLength": 63, "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$"
    };
    /// A node of the graph.
    NodeName = { "type": "string" };
    /// A node of the graph, `__end__`, `__self__`, `__prev__` or `__next__`.
    EdgeTarget = { "type": "string" };
    /// Any value.
    AnyValue = { "x-nullable": true };
    /// Any value that is no mapping.
    PlainValue = { "not": { "type": "object" }, "x-nullable": true };
    /// A number or text: what has an order.
    Ordered = { "type": ["number", "string"] };
    /// Any value, in which strings may refer to inputs and outputs.
    Template = { "x-nullable": true };
}

/// Type of a message that a program names, and not the file of an agent.
#[derive(Clone, Copy, Debug)]
pub struct AnyMessage;

impl JsonSchema for AnyMessage {
    fn schema_name() -> Cow<'static, str> {
        "AnyMessage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = MessageType::json_schema(generator);
        schema.insert("description".to_owned(), "The type of a message.".into());
        schema
    }
}
