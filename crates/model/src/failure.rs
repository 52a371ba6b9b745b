//! Failures of attempts, steps and runs, and the codes that they carry.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error_code::{CodeClass, ErrorCode};

/// Failure of a run, an attempt or a step, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Code of errand's or of the agent's own.
    pub code: FailureCode,
    /// Description in one line.
    pub message: String,
    /// Step at which it happened, where that is known.
    pub step: Option<String>,
    /// The agent's own word on another attempt; `None`: the retry policy decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Last lines that the agent wrote to stderr, with secrets masked; `None`: it wrote none, or
    /// the failure is not of an agent's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_tail: Option<String>,
}

impl Failure {
    /// Returns a failure of no step, about which the retry policy decides.
    pub fn new(code: impl Into<FailureCode>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            step: None,
            retryable: None,
            stderr_tail: None,
        }
    }

    /// Returns the same failure as one that no attempt can mend.
    #[must_use]
    pub fn for_good(self) -> Self {
        Self { retryable: Some(false), ..self }
    }

    /// Returns the same failure with the step at which it happened.
    #[must_use]
    pub fn at_step(self, step: Option<String>) -> Self {
        Self { step, ..self }
    }
}

/// Code of a failure: one of errand's, or a word that an agent made up. In JSON it is the text.
///
/// A code that a newer errand wrote reads as an agent's own word, and is written back unchanged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FailureCode {
    /// Code of errand's; each has a page in `docs/errors`. An agent may use it as well.
    Known(ErrorCode),
    /// Any other text, from an agent.
    Own(Box<str>),
}

impl FailureCode {
    /// Returns the text of the code.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Own(text) => text,
        }
    }

    /// Returns the code if it is one of errand's.
    pub const fn known(&self) -> Option<ErrorCode> {
        match self {
            Self::Known(code) => Some(*code),
            Self::Own(_) => None,
        }
    }

    /// Returns the meaning of the code for an attempt that failed with it.
    pub fn class(&self) -> CodeClass {
        match self {
            Self::Known(code) => code.class(),
            Self::Own(_) => CodeClass::AgentsOwn,
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<ErrorCode> for FailureCode {
    fn eq(&self, code: &ErrorCode) -> bool {
        self.known() == Some(*code)
    }
}

impl From<ErrorCode> for FailureCode {
    fn from(code: ErrorCode) -> Self {
        Self::Known(code)
    }
}

impl From<&str> for FailureCode {
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Own(text.into()), Self::Known)
    }
}

impl From<String> for FailureCode {
    fn from(text: String) -> Self {
        text.parse().map_or_else(|_| Self::Own(text.into_boxed_str()), Self::Known)
    }
}

impl From<FailureCode> for String {
    fn from(code: FailureCode) -> Self {
        match code {
            FailureCode::Known(code) => code.as_str().to_owned(),
            FailureCode::Own(text) => text.into_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_an_agents_own_or_of_a_newer_errand_is_kept_as_it_is() {
        let text = r#"{"code":"no_such_code","message":"m","step":null}"#;
        let failure: Failure = serde_json::from_str(text).unwrap();
        assert_eq!(failure.code, FailureCode::Own("no_such_code".into()));
        assert_eq!(failure.code.class(), CodeClass::AgentsOwn);
        assert_eq!(serde_json::to_string(&failure).unwrap(), text);
    }

    #[test]
    fn every_code_of_errands_is_read_from_its_text() {
        for code in ErrorCode::ALL {
            assert_eq!(FailureCode::from(code.as_str()), FailureCode::Known(*code));
        }
    }
}
