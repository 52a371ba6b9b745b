//! Refusal of a request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error_code::ErrorCode;

/// `application/problem+json` (RFC 9457) with a stable code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemDetails {
    /// `urn:errand:error:<code>`.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// Title in one line: the same for every problem of that code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Code for programs; `errand explain <code>` describes it.
    pub code: String,
    /// Description of this case.
    pub detail: String,
    /// Advice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// A JSON pointer into the body, or the name of the parameter or header that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Line of the first error in malformed JSON; counts from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in that line; counts from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The run that stands in the way, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Every problem of a file that was sent, where it has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<FileProblem>,
}

/// A problem of a file that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileProblem {
    /// Description of the mistake.
    pub message: String,
    /// The line; counts from 1.
    pub line: usize,
    /// The column; counts from 1.
    pub column: usize,
    /// Advice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ProblemDetails {
    /// The media type of this document.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem with the code's own title and status.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            type_uri: format!("urn:errand:error:{code}"),
            title: code.title().to_owned(),
            status: crate::http_status::of(code),
            code: code.to_string(),
            detail: detail.into(),
            hint: None,
            pointer: None,
            line: None,
            column: None,
            run_id: None,
            problems: Vec::new(),
        }
    }
}
