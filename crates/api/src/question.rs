//! Questions to people, across all runs: the output of `errand approvals ls --json`.

use errand_model::RunId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{RecordApproval, RecordInput};

/// The version of the shape of [`QuestionList`].
pub const QUESTIONS_SCHEMA: u32 = 1;

/// Questions of many runs, each list with the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuestionList {
    /// [`QUESTIONS_SCHEMA`].
    pub schema: u32,
    /// May this be done?
    pub approvals: Vec<OfRun<RecordApproval>>,
    /// Questions for input.
    pub inputs: Vec<OfRun<RecordInput>>,
}

/// A question, and who asks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}OfRun")]
pub struct OfRun<T> {
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// The run's name.
    pub run_name: Option<String>,
    /// The name of its agent.
    pub agent: String,
    /// The run that started it: of a step the coordinator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub parent_run_id: Option<RunId>,
    /// The question, and its answer.
    #[serde(flatten)]
    pub question: T,
}
