//! Steps: work that is done once per run, however many attempts the run takes.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ValueEncoding;

/// Kinds of steps: a command, a call of a model, a call of a tool.
pub const STEP_KINDS: [&str; 3] = ["command", "model", "tool"];

/// `POST /agent/v1/steps/{key}/begin`. May be repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginStep {
    /// Kind: one of [`STEP_KINDS`]; absent: any other work. A spent budget holds up steps of kind
    /// `model` and `tool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = STEP_KINDS))]
    pub kind: Option<String>,
    /// The digest (`sha256:…`) of what the step will do, such as its code and arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Description of the step for people, such as a command line; at most 1,000 characters are
    /// kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Time limit of the step; absent: the agent file's.
    #[serde(
        rename = "timeout_ms",
        default,
        with = "errand_model::millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<u64>")]
    pub timeout: Option<Duration>,
}

/// Answer to the start of a step: execute it, or use its recorded result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum BeginStepAnswer {
    /// Do it, then complete or fail it.
    Run {
        /// Time limit, if there is one: the agent's own, or the agent file's.
        #[serde(
            rename = "timeout_ms",
            default,
            with = "errand_model::millis::optional",
            skip_serializing_if = "Option::is_none"
        )]
        #[schemars(with = "Option<u64>")]
        timeout: Option<Duration>,
        /// The step's span, to hang the spans of whatever it does under (W3C Trace Context).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traceparent: Option<String>,
    },
    /// The step is not to be executed, and failed: only in a strict replay, of a run in which it
    /// did.
    Failed {
        /// Recorded error.
        error: StepError,
        /// The command's exit code, for a command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
    },
    /// The step is completed: use its recorded result.
    Done {
        /// Output as it was given; `null` if none.
        output: Option<Value>,
        /// Encoding of `output`; absent: the JSON value itself.
        #[serde(default, skip_serializing_if = "ValueEncoding::is_json")]
        encoding: ValueEncoding,
        /// Text on stderr, for a command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stderr: Option<String>,
        /// Bytes on stderr in standard base64, if they are not UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stderr_base64: Option<String>,
    },
}

/// `POST /agent/v1/steps/{key}/complete`. The same result may be reported again; another one is
/// refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteStep {
    /// Output: any JSON value. Served to every later attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Encoding of `output`: for a command's stdout `text`, or `base64` if it is not UTF-8.
    #[serde(default, skip_serializing_if = "ValueEncoding::is_json")]
    pub encoding: ValueEncoding,
    /// Text on stderr, for a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// Bytes on stderr in standard base64, if they are not UTF-8. Not both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_base64: Option<String>,
}

/// `POST /agent/v1/steps/{key}/fail`. The step may be begun again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailStep {
    /// Error of the step.
    pub error: StepError,
    /// The command's exit code, for a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// Error of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepError {
    /// A word that programs match on; absent: `step_failed`.
    #[serde(default = "StepError::default_code")]
    pub code: String,
    /// Description in one line.
    pub message: String,
    /// True if another try may help; absent: the retry policy decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
}

impl StepError {
    /// The code of an error that has none of its own.
    pub const DEFAULT_CODE: &'static str = "step_failed";

    fn default_code() -> String {
        Self::DEFAULT_CODE.to_owned()
    }
}
