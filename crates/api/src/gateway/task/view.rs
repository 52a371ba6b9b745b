//! A task as controllers see it: a projection of its run, computed and never stored.

use errand_model::error_code::ErrorCode;
use errand_model::event::PauseReason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TaskQuestions;
use crate::record::{RecordError, RecordPort, RunRecord};

/// State of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskStatus {
    /// The task waits for a slot, or for its next attempt.
    Queued,
    /// Its container is being made.
    Provisioning,
    /// Its agent checked in.
    Running,
    /// Its agent exited with 0.
    Completed,
    /// The run of the task failed.
    Failed,
    /// Its deadline passed.
    TimedOut,
    /// The run of the task was cancelled.
    Cancelled,
}

impl TaskStatus {
    /// Returns the state of the task that a run carries out.
    fn of(record: &RunRecord) -> Self {
        let attempt = record.attempts.last().map(|attempt| attempt.status.as_str());
        match record.status.as_str() {
            "completed" => Self::Completed,
            "cancelled" => Self::Cancelled,
            "failed" => {
                let code = record.last_error.as_ref().map(|error| error.code.as_str());
                let is_late = code == Some(ErrorCode::TimeoutRun.as_str());
                if is_late { Self::TimedOut } else { Self::Failed }
            }
            "running" => Self::Running,
            // A run that waits for a person keeps the state that its attempt has reached.
            _ => match attempt {
                Some("starting") => Self::Provisioning,
                Some("running") => Self::Running,
                Some(_) | None => Self::Queued,
            },
        }
    }

    /// Returns true if the task is over.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Provisioning | Self::Running => false,
            Self::Completed | Self::Failed | Self::TimedOut | Self::Cancelled => true,
        }
    }
}

/// A task. Times are RFC 3339; `null` where not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Id that the controller chose.
    pub task_id: String,
    /// State of the task.
    pub status: TaskStatus,
    /// True while a person or its sender has paused it: nothing in its container executes. Absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// For what its agent waits: `approval` or `input`, open in `questions`. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<PauseReason>,
    /// Approvals and questions of its agent to people, open and settled. Absent if it asked nothing.
    #[serde(default, skip_serializing_if = "TaskQuestions::is_empty")]
    pub questions: TaskQuestions,
    /// Time of the check-in of its first attempt.
    #[schemars(extend("format" = "date-time"))]
    pub started_at: Option<String>,
    /// Time of its end.
    #[schemars(extend("format" = "date-time"))]
    pub completed_at: Option<String>,
    /// Time from start to end.
    pub duration_seconds: Option<f64>,
    /// Exit code of the agent, where it ended by itself.
    pub exit_code: Option<i32>,
    /// Tokens that its model calls read and wrote.
    pub tokens_used: u64,
    /// Path of its log at this dispatcher, followed until the task ends.
    pub log_stream: String,
    /// Error of a task that did not complete.
    pub error: Option<RecordError>,
    /// Path of its output at this dispatcher, once it has one.
    pub result_key: Option<String>,
    /// Published ports while it lives, with their addresses on the dispatcher's machine.
    pub ports: Vec<RecordPort>,
    /// Number of the last order for it that came by a bus. Absent from a task that none came for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
}

impl Task {
    /// Returns the task of an order that was refused with `error`, or withdrawn by its sender.
    pub fn refused(task_id: &str, order: u32, error: RecordError) -> Self {
        let is_withdrawn = error.code == ErrorCode::TaskCancelled.as_str();
        Self {
            task_id: task_id.to_owned(),
            status: if is_withdrawn { TaskStatus::Cancelled } else { TaskStatus::Failed },
            paused: false,
            waiting: None,
            questions: TaskQuestions::default(),
            started_at: None,
            completed_at: None,
            duration_seconds: None,
            exit_code: None,
            tokens_used: 0,
            log_stream: format!("/tasks/{task_id}/log?follow=true"),
            error: Some(error),
            result_key: None,
            ports: Vec::new(),
            order: Some(order),
        }
    }

    /// Returns the task `task_id` that a run carries out.
    pub fn of(task_id: &str, record: &RunRecord) -> Self {
        let status = TaskStatus::of(record);
        let container = record.live_container();
        #[expect(clippy::cast_precision_loss, reason = "durations stay far below 2^52 ms")]
        let seconds = |ms: u64| ms as f64 / 1_000.0;
        let is_held = record.pause.as_ref().is_some_and(|it| it.reason == PauseReason::Operator);
        let has_output = record.output != Value::Null;
        let questions = TaskQuestions::of(record);
        Self {
            task_id: task_id.to_owned(),
            status,
            paused: is_held,
            waiting: questions.waits_for(),
            questions,
            started_at: record.started_at_ms.map(|at| at.to_string()),
            completed_at: record.stopped_at_ms.map(|at| at.to_string()),
            duration_seconds: record.duration_ms.map(seconds),
            exit_code: record.exit_code,
            tokens_used: record.usage.input_tokens.saturating_add(record.usage.output_tokens),
            log_stream: format!("/tasks/{task_id}/log?follow=true"),
            error: record.last_error.clone(),
            result_key: has_output.then(|| format!("/v1/runs/{}/output", record.run_id)),
            ports: container.map(|container| container.ports.clone()).unwrap_or_default(),
            order: None,
        }
    }
}

/// A page of tasks, by id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskPage {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// Cursor of the next page; `null` on the last one.
    pub next_cursor: Option<String>,
}
