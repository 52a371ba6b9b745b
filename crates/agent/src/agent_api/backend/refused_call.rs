//! Calls that a gateway refuses.

use errand_api::error_code::ErrorCode;

/// A call that a gateway refuses before it is a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCall {
    /// Call, as far as it is known.
    pub target: RefusedTarget,
    /// Code of the refusal.
    pub code: ErrorCode,
    /// Message of the refusal; it may contain secrets.
    pub message: String,
}

/// Model or tool of a refused call, as the agent named it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusedTarget {
    /// A model.
    Model {
        /// Provider; `None`: there is none of that path.
        provider: Option<String>,
        /// Model; `None`: the request names none, or was not read.
        model: Option<String>,
    },
    /// A tool; `None`: the request was not read.
    Tool {
        /// Name of the tool.
        name: Option<String>,
    },
}
