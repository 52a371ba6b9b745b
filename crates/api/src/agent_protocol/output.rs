//! Results of an agent: checkpoints, outputs, files, the end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{StepError, ValueEncoding, limit};

/// The answer of calls that have nothing to tell: `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

/// `PUT /agent/v1/checkpoint`. The last one counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveCheckpoint {
    /// The agent's state: any JSON value.
    pub state: Value,
}

/// `GET /agent/v1/checkpoint`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointAnswer {
    /// The state that was saved last; `null` if none was.
    pub state: Option<Value>,
}

/// `PUT /agent/v1/output`: the whole output. The last one counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetOutput {
    /// Any JSON value.
    pub output: Value,
    /// Encoding of `output`; absent: the JSON value itself.
    #[serde(default, skip_serializing_if = "ValueEncoding::is_json")]
    pub encoding: ValueEncoding,
}

/// `POST /agent/v1/output`: a part of the output's text, as it is produced. Followers see it; the
/// output itself is still set by [`SetOutput`], `$ERRAND_OUTPUT` or stdout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputPart {
    /// The next part.
    pub text: String,
}

/// `POST /agent/v1/artifacts/{name}`. The file is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactAnswer {
    /// Its name in this run; a later one of the same name takes its place.
    pub name: String,
    /// `artifact://<run-id>/<name>`.
    pub uri: String,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// The request's `Content-Type` (RFC 6838), if it had one.
    pub media_type: Option<String>,
}

/// `POST /agent/v1/checkback`: the result of the attempt, where the process cannot say it by its
/// exit code. May be repeated; another result is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkback {
    /// Outcome of the attempt.
    pub status: CheckbackStatus,
    /// The run's output; absent: what was set before, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Error; only with `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// The exit code to record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// Outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckbackStatus {
    /// Well.
    Completed,
    /// Not well.
    Failed,
}

/// Checks the name of an artifact: a relative path such as `review.md` or `reports/a.json`.
///
/// # Errors
///
/// [`BadArtifactName`] if it is empty, too long, absolute, has an empty part, `.` or `..` in it, or
/// control characters or backslashes.
pub fn check_artifact_name(name: &str) -> Result<(), BadArtifactName> {
    let fits = name.len() <= limit::ARTIFACT_NAME_BYTES
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !name.chars().any(|c| c.is_control() || c == '\\');
    if fits { Ok(()) } else { Err(BadArtifactName { name: name.chars().take(80).collect() }) }
}

/// The text cannot name an artifact.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{name:?} cannot name an artifact: a relative path of 1 to {} bytes without `..`, backslashes \
     and control characters",
    limit::ARTIFACT_NAME_BYTES
)]
pub struct BadArtifactName {
    /// Name as given, shortened.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_cannot_be_named_out_of_its_run() {
        for name in ["review.md", "a/b/c.json", "ü …", "..."] {
            assert_eq!(check_artifact_name(name), Ok(()), "{name}");
        }
        let long = "x".repeat(201);
        for name in ["", "/etc/passwd", "..", "a/../b", "a//b", "./a", "a/", "a\\b", "a\nb", &long]
        {
            assert!(check_artifact_name(name).is_err(), "{name}");
        }
    }
}
