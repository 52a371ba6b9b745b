//! Moments at which policies are asked.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The moment at which a policy is asked.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PolicyHook {
    /// Before a run is admitted.
    AgentTrigger,
    /// Before a tool is called.
    BeforeTool,
    /// Before the agent gets the result of a tool.
    AfterTool,
    /// Before a model is called.
    BeforeModel,
    /// Before the agent gets the answer of a model.
    AfterModel,
    /// Before a tool of a server that holds a memory is called.
    OnMemory,
    /// Before a tool of a server that holds a body of knowledge is called.
    OnKnowledge,
    /// Before a message is sent to another agent.
    OnMessage,
    /// Before an artifact is stored.
    OnArtifact,
    /// Before a run is replayed.
    OnReplay,
    /// Before an agent in a sandbox with `network: gateway` reaches a host.
    OnEgress,
}

impl PolicyHook {
    /// Every hook.
    pub const ALL: &[Self] = &[
        Self::AgentTrigger,
        Self::BeforeTool,
        Self::AfterTool,
        Self::BeforeModel,
        Self::AfterModel,
        Self::OnMemory,
        Self::OnKnowledge,
        Self::OnMessage,
        Self::OnArtifact,
        Self::OnReplay,
        Self::OnEgress,
    ];

    /// Returns the word of journals and of policies' input.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentTrigger => "agent_trigger",
            Self::BeforeTool => "before_tool",
            Self::AfterTool => "after_tool",
            Self::BeforeModel => "before_model",
            Self::AfterModel => "after_model",
            Self::OnMemory => "on_memory",
            Self::OnKnowledge => "on_knowledge",
            Self::OnMessage => "on_message",
            Self::OnArtifact => "on_artifact",
            Self::OnReplay => "on_replay",
            Self::OnEgress => "on_egress",
        }
    }

    /// Returns the member of `call` that a policy may replace, if it may.
    pub const fn replaces(self) -> Option<&'static str> {
        match self {
            Self::AgentTrigger => Some("payload"),
            Self::BeforeTool | Self::OnMemory | Self::OnKnowledge => Some("arguments"),
            Self::AfterTool => Some("result"),
            Self::BeforeModel => Some("request"),
            Self::AfterModel => Some("response"),
            Self::OnMessage | Self::OnArtifact | Self::OnReplay | Self::OnEgress => None,
        }
    }

    /// Returns true if a person can be asked.
    pub const fn asks(self) -> bool {
        match self {
            Self::BeforeTool
            | Self::BeforeModel
            | Self::OnMemory
            | Self::OnKnowledge
            | Self::OnEgress => true,
            Self::AgentTrigger
            | Self::AfterTool
            | Self::AfterModel
            | Self::OnMessage
            | Self::OnArtifact
            | Self::OnReplay => false,
        }
    }

    /// Returns true if programs and external policies are asked at this moment without naming it in
    /// `hooks`. Results are shown to those only that ask for them.
    pub const fn is_usual(self) -> bool {
        match self {
            Self::AfterTool | Self::AfterModel => false,
            Self::AgentTrigger
            | Self::BeforeTool
            | Self::BeforeModel
            | Self::OnMemory
            | Self::OnKnowledge
            | Self::OnMessage
            | Self::OnArtifact
            | Self::OnReplay
            | Self::OnEgress => true,
        }
    }
}

impl fmt::Display for PolicyHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
