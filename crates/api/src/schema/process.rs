//! What runs and where.

use schemars::JsonSchema;

/// How errand drives the agent. The harnesses `acp` and `react` are not supported by this version,
/// and refused.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Harness {
    /// Any program: payload on stdin and in `$ERRAND_INPUT`, output from `$ERRAND_OUTPUT` or stdout.
    Command,
}

/// Where the agent's process lives. The targets `container` and `kubernetes` are not supported by this
/// version, and refused.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// A process of this machine.
    Process {},
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
