//! What runs and where.

use schemars::JsonSchema;

/// How errand drives the agent.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Harness {
    /// Any program: payload on stdin and in `$ERRAND_INPUT`, output from `$ERRAND_OUTPUT` or stdout.
    Command,
    /// A coding agent that speaks the Agent Client Protocol on stdio.
    Acp,
    /// A model-and-tools loop that errand itself drives.
    React,
}

/// Where the agent's process lives.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// A process of this machine.
    Process {},
    /// A container of Docker or Podman.
    Container {
        /// The image reference.
        image: String,
    },
    /// A pod.
    Kubernetes {
        /// The namespace; the cluster's default if left out.
        namespace: Option<String>,
        /// The image reference.
        image: String,
    },
}

/// The directory that an attempt works in.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Workspace {
    /// A fresh directory per run, kept across its attempts.
    Temp {},
    /// The directory that the caller was in.
    Cwd {},
    /// A git worktree of the caller's repository.
    Worktree {
        /// A branch, tag or commit; `HEAD` if left out.
        r#ref: Option<String>,
    },
    /// A fresh clone.
    Clone {
        /// What to clone.
        url: String,
        /// A branch, tag or commit; the remote's default branch if left out.
        r#ref: Option<String>,
    },
}
