//! Routes of tasks.

use super::{CancelTaskQuery, Task, TaskDecision, TaskPage, TaskRequest};
use crate::error_code::ErrorCode;
use crate::gateway::agent::PageQuery;
use crate::gateway::file::{LOG_OFFSET, LogQuery, RANGE};
use crate::gateway::route::{Answer, Area, Body, KeyScope, Method, Route};

const NOT_FOUND: &[ErrorCode] = &[ErrorCode::TaskNotFound];

/// Errors of a decision.
const UNDECIDABLE: &[ErrorCode] = &[
    ErrorCode::TaskNotFound,
    ErrorCode::QuestionNotFound,
    ErrorCode::QuestionDecided,
    ErrorCode::QuestionExpired,
    ErrorCode::AnswerInvalid,
    ErrorCode::SecretExposed,
    ErrorCode::RunNotLive,
];

/// Routes of a dispatcher. Other servers do not have them.
pub const AREA: Area = Area {
    name: "tasks",
    says: "Tasks of a dispatcher (`errand dispatcher`): containers that a controller sends.",
    routes: &[
        Route::new("send_task", Method::Post, "/tasks", KeyScope::RunsWrite)
            .says("Sends a task; one that is active or completed is not run again.")
            .takes(Body::json::<TaskRequest>())
            .answers(&[
                Answer::json::<Task>(202, "It is stored and will be carried out."),
                Answer::json::<Task>(200, "It was sent before, or another one stands in for it."),
            ])
            .errors(&[
                ErrorCode::TaskConflict,
                ErrorCode::EnvInvalid,
                ErrorCode::SecretExposed,
                ErrorCode::CallbackRefused,
                ErrorCode::ChangedMeanwhile,
            ]),
        Route::new("list_tasks", Method::Get, "/tasks", KeyScope::RunsRead)
            .says("Lists tasks by id.")
            .query::<PageQuery>()
            .answers(&[Answer::json::<TaskPage>(200, "A page of them.")]),
        Route::new("get_task", Method::Get, "/tasks/{task_id}", KeyScope::RunsRead)
            .says("A task with its state.")
            .answers(&[Answer::json::<Task>(200, "The task.")])
            .errors(NOT_FOUND),
        Route::new("cancel_task", Method::Post, "/tasks/{task_id}/cancel", KeyScope::RunsWrite)
            .says("Cancels a task: its container is asked to end, and killed after ten seconds.")
            .query::<CancelTaskQuery>()
            .answers(&[
                Answer::json::<Task>(202, "It will be cancelled."),
                Answer::json::<Task>(200, "It is over."),
            ])
            .errors(NOT_FOUND),
        Route::new("pause_task", Method::Post, "/tasks/{task_id}/pause", KeyScope::RunsWrite)
            .says("Pauses a task: nothing in its container executes, and its time stands still.")
            .answers(&[Answer::json::<Task>(200, "The paused task.")])
            .errors(&[ErrorCode::TaskNotFound, ErrorCode::RunNotLive, ErrorCode::RunLive]),
        Route::new("resume_task", Method::Post, "/tasks/{task_id}/resume", KeyScope::RunsWrite)
            .says("Resumes a task that was paused.")
            .answers(&[Answer::json::<Task>(200, "The task.")])
            .errors(&[ErrorCode::TaskNotFound, ErrorCode::RunNotLive, ErrorCode::RunNotPaused]),
        Route::new("decide_task", Method::Post, "/tasks/{task_id}/decisions", KeyScope::ApprovalsDecide)
            .says("Decides an approval of a task, or answers a question of it, once.")
            .takes(Body::json::<TaskDecision>())
            .answers(&[Answer::json::<Task>(200, "It is durable, and the task goes on.")])
            .errors(UNDECIDABLE),
        Route::new("put_task_brief", Method::Put, "/briefs/{id}/{name}", KeyScope::RunsWrite)
            .says(
                "Stores the brief of a task under the key `briefs/{id}/{name}`, where the name is the \
                 SHA-256 of the body and `.json`. To be sent before the task; one that no task names \
                 is removed after an hour.",
            )
            .takes(Body::Bytes("application/json"))
            .answers(&[Answer::empty(204, "It is stored.")])
            .errors(&[ErrorCode::RequestInvalid]),
        Route::new("get_task_journal", Method::Get, "/tasks/{task_id}/journal", KeyScope::RunsRead)
            .says("The journal of the run that carries a task out: events as lines of JSON.")
            .answers(&[Answer::bytes(200, "application/x-ndjson", "The events.")])
            .errors(NOT_FOUND),
        Route::new(
            "get_task_artifact",
            Method::Get,
            "/tasks/{task_id}/artifacts/{name}",
            KeyScope::RunsRead,
        )
        .says("A file that a task put out.")
        .answers(&[Answer::bytes(200, "application/octet-stream", "The file.")])
        .errors(&[ErrorCode::TaskNotFound, ErrorCode::ArtifactNotFound]),
        Route::new("get_task_log", Method::Get, "/tasks/{task_id}/log", KeyScope::RunsRead)
            .says("The log of a task.")
            .query::<LogQuery>()
            .headers(&[RANGE])
            .answers(&[
                Answer::bytes(200, "text/plain", "The lines.").with(&[LOG_OFFSET]),
                Answer::bytes(206, "text/plain", "The part that is wanted, of the whole log."),
            ])
            .errors(&[ErrorCode::TaskNotFound, ErrorCode::RangeUnsatisfiable]),
    ],
};
