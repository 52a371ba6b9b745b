//! What agents ask people, and what answers them.

use errand_model::event::Event;
use serde::Deserialize;

/// What all events about a question have.
#[derive(Deserialize)]
struct About {
    #[serde(alias = "approval_id", alias = "input_id")]
    question_id: String,
    #[serde(default)]
    deadline_ms: Option<i64>,
}

/// What an event does to questions of its run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Asks it. Asked again, in another attempt, it is the same question.
    Asked { id: String, deadline_ms: Option<i64> },
    /// Answers it, unless that was done.
    Answered { id: String },
    /// Ends the run: nobody waits for any answer.
    Ended,
}

/// What an event does to questions; `None`: nothing.
pub(crate) fn question(event: &Event) -> Option<Question> {
    let about = || serde_json::from_str::<About>(&event.data).ok();
    match event.kind.as_str() {
        "approval.requested" | "input.requested" => about()
            .map(|about| Question::Asked { id: about.question_id, deadline_ms: about.deadline_ms }),
        "approval.decided" | "input.provided" | "input.expired" => {
            about().map(|about| Question::Answered { id: about.question_id })
        }
        "run.completed" | "run.failed" | "run.cancelled" => Some(Question::Ended),
        _ => None,
    }
}
