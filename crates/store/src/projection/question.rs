//! Questions of agents to people in a journal, and their answers.

use errand_model::event::Event;
use serde::Deserialize;

/// Members common to all events about a question.
#[derive(Deserialize)]
struct About {
    #[serde(alias = "approval_id", alias = "input_id")]
    question_id: String,
    #[serde(default)]
    deadline_ms: Option<i64>,
}

/// Effect of an event on the questions of its run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum QuestionEffect {
    /// Asks a question. A repetition in another attempt is the same question.
    Asked { id: String, deadline_ms: Option<i64> },
    /// Answers a question, unless it is answered already.
    Answered { id: String },
    /// Ends the run: its questions need no answers.
    Ended,
}

/// Returns the effect of an event on questions; `None`: none.
pub(crate) fn question(event: &Event) -> Option<QuestionEffect> {
    let about = || serde_json::from_str::<About>(&event.data).ok();
    match event.kind.as_str() {
        "approval.requested" | "input.requested" => about().map(|about| QuestionEffect::Asked {
            id: about.question_id,
            deadline_ms: about.deadline_ms,
        }),
        "approval.decided" | "input.provided" | "input.expired" => {
            about().map(|about| QuestionEffect::Answered { id: about.question_id })
        }
        "run.completed" | "run.failed" | "run.cancelled" => Some(QuestionEffect::Ended),
        _ => None,
    }
}
