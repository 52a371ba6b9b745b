//! The call that a policy decides about.

use std::fmt;

use serde_json::{Value, json};

/// The moment at which policies are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyHook {
    /// Before a run is admitted.
    AgentTrigger,
    /// Before a tool is called.
    BeforeTool,
    /// Before a model is called.
    BeforeModel,
    /// Before a message is sent to another agent.
    OnMessage,
    /// Before an artifact is stored.
    OnArtifact,
    /// Before a run is replayed.
    OnReplay,
}

impl PolicyHook {
    /// Every hook.
    pub const ALL: &[Self] = &[
        Self::AgentTrigger,
        Self::BeforeTool,
        Self::BeforeModel,
        Self::OnMessage,
        Self::OnArtifact,
        Self::OnReplay,
    ];

    /// Returns the word of journals and of policies' input.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentTrigger => "agent_trigger",
            Self::BeforeTool => "before_tool",
            Self::BeforeModel => "before_model",
            Self::OnMessage => "on_message",
            Self::OnArtifact => "on_artifact",
            Self::OnReplay => "on_replay",
        }
    }

    /// Returns the member of `call` that a policy may replace, if it may.
    pub const fn replaces(self) -> Option<&'static str> {
        match self {
            Self::AgentTrigger => Some("payload"),
            Self::BeforeTool => Some("arguments"),
            Self::BeforeModel | Self::OnMessage | Self::OnArtifact | Self::OnReplay => None,
        }
    }

    /// Returns true if a person can be asked.
    pub const fn asks(self) -> bool {
        match self {
            Self::BeforeTool | Self::BeforeModel => true,
            Self::AgentTrigger | Self::OnMessage | Self::OnArtifact | Self::OnReplay => false,
        }
    }
}

impl fmt::Display for PolicyHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call that policies decide about.
#[derive(Clone, Debug)]
pub struct PolicyCall {
    /// The moment.
    pub hook: PolicyHook,
    /// Names by which rules match the call, such as `mail_send` and `send`.
    pub names: Vec<String>,
    /// Input of programs: `hook`, `run`, `agent`, `caller`, `call`, `budget`, `so_far`.
    pub input: Value,
}

impl PolicyCall {
    /// Returns a call. `facts` has the members of the input besides `hook` and `call`.
    pub fn new(hook: PolicyHook, names: Vec<String>, call: Value, facts: &Value) -> Self {
        let mut input = facts.clone();
        if let Some(members) = input.as_object_mut() {
            members.insert("hook".to_owned(), json!(hook.as_str()));
            members.insert("call".to_owned(), call);
        }
        Self { hook, names, input }
    }

    /// Returns the facts of the call itself.
    pub fn call(&self) -> &Value {
        &self.input["call"]
    }
}
