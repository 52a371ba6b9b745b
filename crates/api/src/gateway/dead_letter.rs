//! Failed runs whose attempts are spent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::{Answer, Area, Body, KeyScope, Method, Route};
use crate::dead_letter::{DeadLetter, DeadLetterDetail, Redriven};
use crate::error_code::ErrorCode;

/// Errors of requests about a dead letter.
const UNSETTLED: &[ErrorCode] =
    &[ErrorCode::RunNotFound, ErrorCode::DeadLetterNotFound, ErrorCode::DeadLetterSettled];

/// Failed runs whose attempts are spent.
pub const AREA: Area = Area {
    name: "dead letters",
    says: "Failed runs whose attempts are spent: looked at, done again, let go.",
    routes: &[
        Route::new("list_dead_letters", Method::Get, "/v1/dead-letters", KeyScope::RunsRead)
            .says("Lists dead letters, newest run first.")
            .query::<DeadLetterQuery>()
            .answers(&[Answer::json::<DeadLetterPage>(200, "A page of them.")]),
        Route::new("get_dead_letter", Method::Get, "/v1/dead-letters/{run_id}", KeyScope::RunsRead)
            .says("Everything that is kept of a dead letter.")
            .query::<TailQuery>()
            .answers(&[Answer::json::<DeadLetterDetail>(200, "Input, checkpoint, errors, log.")])
            .errors(UNSETTLED),
        Route::new(
            "redrive_dead_letter",
            Method::Post,
            "/v1/dead-letters/{run_id}/redrive",
            KeyScope::RunsWrite,
        )
        .says("Does a dead letter again, as a new run.")
        .takes(Body::maybe_json::<RedriveLetter>())
        .answers(&[Answer::json::<Redriven>(202, "The new run is queued.")])
        .errors(UNSETTLED),
        Route::new(
            "discard_dead_letter",
            Method::Post,
            "/v1/dead-letters/{run_id}/discard",
            KeyScope::RunsWrite,
        )
        .says("Takes a dead letter off the list; its run is kept.")
        .takes(Body::maybe_json::<DiscardLetter>())
        .answers(&[Answer::empty(204, "The dead letter is off the list.")])
        .errors(UNSETTLED),
        Route::new(
            "redrive_dead_letters",
            Method::Post,
            "/v1/dead-letters/redrive",
            KeyScope::RunsWrite,
        )
        .says("Does many dead letters again, oldest first.")
        .takes(Body::json::<RedriveLetters>())
        .answers(&[Answer::json::<RedrivenLetters>(202, "The new runs are queued.")]),
        Route::new(
            "discard_dead_letters",
            Method::Post,
            "/v1/dead-letters/discard",
            KeyScope::RunsWrite,
        )
        .says("Takes many dead letters off the list, oldest first.")
        .takes(Body::json::<DiscardLetters>())
        .answers(&[Answer::json::<DiscardedLetters>(200, "They are off the list.")]),
    ],
};

/// Selection of dead letters. All given conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterQuery {
    /// True to include redriven and discarded ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Only runs of that agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only runs whose last error has that code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Only runs that died then or later: epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// The greatest number of entries; 50 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// Cursor: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = crate::gateway::run::RUN_ID))]
    pub cursor: Option<String>,
}

/// A page of dead letters, newest run first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterPage {
    /// The dead letters.
    pub dead_letters: Vec<DeadLetter>,
    /// Value of `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Selection of the log's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TailQuery {
    /// The number of lines from the end of the log; 20 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub tail: Option<u32>,
}

/// Options of a redrive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedriveLetter {
    /// Begin from the start, as if nothing had been done; otherwise completed steps and the last
    /// checkpoint are taken over.
    #[serde(default)]
    pub from_start: bool,
    /// Even if it was redriven or discarded already.
    #[serde(default)]
    pub again: bool,
    /// A registered version of the agent in the place of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub version: Option<String>,
    /// True to use the current version of the agent instead of the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<bool>,
}

/// Options of a discard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardLetter {
    /// Person who discards it, beside the key that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 150))]
    pub by: Option<String>,
}

/// Selection of dead letters to redrive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedriveLetters {
    /// Only runs of that agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only runs whose last error has that code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The greatest number of entries; 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// Begin from the start, as if nothing had been done.
    #[serde(default)]
    pub from_start: bool,
}

/// Result of redriving dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedrivenLetters {
    /// Redriven ones.
    pub redriven: Vec<Redriven>,
    /// Refused ones.
    pub refused: Vec<RefusedLetter>,
}

/// Selection of dead letters to discard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardLetters {
    /// Only runs of that agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only runs whose last error has that code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The greatest number of entries; 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// Person who discards them, beside the key that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 150))]
    pub by: Option<String>,
}

/// Result of discarding dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiscardedLetters {
    /// Discarded ones.
    pub discarded: Vec<String>,
    /// Refused ones.
    pub refused: Vec<RefusedLetter>,
}

/// A dead letter with which nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedLetter {
    /// The run.
    pub run_id: String,
    /// The stable code.
    pub code: String,
    /// Reason.
    pub detail: String,
}
