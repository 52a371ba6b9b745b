//! Refusals of calls of the agent API.

use std::borrow::Cow;

use errand_api::agent_protocol::{AgentApiProblem, BudgetProblem};
use errand_api::error_code::ErrorCode;
use errand_model::event::NotReportable;
use errand_model::run::Rejection;
use errand_model::step::StepRefused;
use hyper::StatusCode;

/// Refusal of a call: nothing was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable error code.
    pub code: ErrorCode,
    /// HTTP status.
    pub status: u16,
    /// Error message, for people.
    pub message: String,
    /// Advice on how to solve the problem.
    pub hint: Option<Cow<'static, str>>,
    /// Limit without room for the call, if that is the reason.
    pub budget: Option<BudgetProblem>,
}

impl Refusal {
    /// Creates a refusal without a hint.
    pub fn new(status: u16, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), hint: None, budget: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// 409: another attempt of the run has replaced this one.
    pub fn fenced() -> Self {
        Self::new(
            409,
            ErrorCode::Fenced,
            "this attempt was superseded by another one of the same run",
        )
        .with_hint("end the process: nothing it reports is recorded any more")
    }

    /// 409: a limit leaves no room for the call.
    pub fn budget(message: impl Into<String>, budget: BudgetProblem) -> Self {
        let refusal = Self::new(409, ErrorCode::BudgetExceeded, message)
            .with_hint("end with what there is, or ask for less");
        Self { budget: Some(budget), ..refusal }
    }

    /// 413: an output is larger than `limit_bytes`, the most that is kept.
    pub fn output_too_large(limit_bytes: u64) -> Self {
        let message = format!("the output has more than {limit_bytes} bytes");
        Self::new(413, ErrorCode::OutputTooLarge, message).with_hint(
            "hand larger results over with `errand agent artifact`, or raise limits.output \
             (ERRAND_MAX_OUTPUT)",
        )
    }

    /// 500: errand itself failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, ErrorCode::Internal, message)
    }

    pub(super) fn request(message: impl Into<String>) -> Self {
        Self::new(400, ErrorCode::RequestInvalid, message)
    }

    /// Converts the refusal into the document for the caller.
    pub fn into_problem(self) -> AgentApiProblem {
        let title = StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Refused");
        AgentApiProblem {
            type_uri: AgentApiProblem::type_uri(self.code.as_str()),
            title: title.to_owned(),
            status: self.status,
            code: self.code.as_str().to_owned(),
            detail: self.message,
            hint: self.hint.map(Cow::into_owned),
            budget: self.budget,
        }
    }
}

impl From<StepRefused> for Refusal {
    fn from(refused: StepRefused) -> Self {
        let (status, code) = match &refused {
            StepRefused::Key { .. } => (400, ErrorCode::StepKeyInvalid),
            StepRefused::Changed { .. } => (409, ErrorCode::StepChanged),
            StepRefused::NotBegun { .. } => (409, ErrorCode::StepNotBegun),
            StepRefused::AlreadyCompleted { .. } => (409, ErrorCode::StepConflict),
        };
        Self::new(status, code, refused.to_string())
    }
}

impl From<NotReportable> for Refusal {
    fn from(refused: NotReportable) -> Self {
        Self::new(400, ErrorCode::EventInvalid, refused.to_string())
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        match &rejection {
            Rejection::Terminal { run_id, status } => {
                Self { message: format!("run {run_id} is {status} already"), ..Self::fenced() }
            }
            Rejection::Stale { .. } | Rejection::Fenced { .. } => {
                Self { message: rejection.to_string(), ..Self::fenced() }
            }
            Rejection::BudgetSpent { .. } => {
                Self::new(409, ErrorCode::BudgetExceeded, rejection.to_string())
            }
            Rejection::NoSuchLimit { .. } | Rejection::NotRaised { .. } => {
                Self::new(422, ErrorCode::BudgetInvalid, rejection.to_string())
            }
            Rejection::NotNow { .. }
            | Rejection::NotAService { .. }
            | Rejection::NotWoken { .. }
            | Rejection::NotPaused { .. }
            | Rejection::NoneAsked { .. }
            | Rejection::NotAsked { .. }
            | Rejection::Several { .. }
            | Rejection::Decided { .. }
            | Rejection::Expired { .. }
            | Rejection::OtherDigest { .. }
            | Rejection::AnswerInvalid { .. }
            | Rejection::TooManyQuestions { .. } => {
                Self::new(409, ErrorCode::RequestInvalid, rejection.to_string())
            }
        }
    }
}
