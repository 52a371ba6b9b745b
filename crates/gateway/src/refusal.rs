//! Refusals of requests as problem documents; a refused request changed nothing.

mod areas;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use errand_api::agent_file::Problems;
use errand_api::budget::{spoken_name, spoken_spent};
use errand_api::error_code::ErrorCode;
use errand_api::gateway::problem::{FileProblem, ProblemDetails};
use errand_engine::error::SecretExposed;
use errand_engine::outbox::{self, Refused};
use errand_engine::{CodedError as _, Error as EngineError, SchemaProblem, agents, code};
use errand_model::RunId;
use errand_model::run::Rejection;
use errand_model::schedule::InvalidSchedule;
use errand_store::Error as StoreError;

/// A refusal of a request.
#[derive(Debug)]
pub(crate) struct Refusal {
    problem: Box<ProblemDetails>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// Creates a refusal with the code's own status.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(ProblemDetails::new(code, detail)), headers: Vec::new() }
    }

    /// Creates a refusal of a path or query parameter, or of a header.
    pub(crate) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::ParameterInvalid, detail).at(name)
    }

    /// Creates a refusal of a field of the body; `pointer` is a JSON pointer.
    pub(crate) fn field(code: ErrorCode, pointer: &str, detail: impl Into<String>) -> Self {
        Self::new(code, detail).at(pointer)
    }

    /// Creates a refusal for a run that does not exist or is in another namespace.
    pub(crate) fn no_run(run_id: &str) -> Self {
        Self::new(ErrorCode::RunNotFound, format!("no run {run_id}"))
    }

    /// Sets the place of the mistake: a JSON pointer, or the name of a parameter or header.
    pub(crate) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.problem.pointer = Some(pointer.into());
        self
    }

    /// Sets the position of a syntax error in the JSON.
    pub(crate) fn in_line(mut self, line: usize, column: usize) -> Self {
        (self.problem.line, self.problem.column) = (Some(line), Some(column));
        self
    }

    /// Changes the refusal of a field into one of a parameter.
    pub(crate) fn coded_as_parameter(self) -> Self {
        let ProblemDetails { detail, hint, pointer, .. } = *self.problem;
        let mut problem = ProblemDetails::new(ErrorCode::ParameterInvalid, detail);
        (problem.hint, problem.pointer) = (hint, pointer);
        Self { problem: Box::new(problem), headers: self.headers }
    }

    /// Sets the hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }

    /// Sets the run that causes the refusal.
    pub(crate) fn about(mut self, run_id: &RunId) -> Self {
        self.problem.run_id = Some(run_id.to_string());
        self
    }

    /// Adds a header to the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the problem document.
    pub(crate) fn problem(&self) -> &ProblemDetails {
        &self.problem
    }

    /// Returns the stable code.
    pub(crate) fn code(&self) -> &str {
        &self.problem.code
    }

    /// Returns the description of this case.
    pub(crate) fn detail(&self) -> &str {
        &self.problem.detail
    }

    /// Creates a refusal with all problems in submitted files.
    pub(crate) fn of_files(code: ErrorCode, files: &[Problems]) -> Self {
        let each = files.iter().map(|file| {
            let count = file.problems.len() + file.omitted;
            let noun = if count == 1 { "problem" } else { "problems" };
            format!("{} has {count} {noun}", file.source_name)
        });
        let mut refusal = Self::new(code, each.collect::<Vec<_>>().join(", "));
        let all = files.iter().flat_map(|file| &file.problems);
        refusal.problem.problems = all
            .map(|problem| FileProblem {
                message: if problem.path.is_empty() {
                    problem.message.clone()
                } else {
                    format!("{}: {}", problem.path, problem.message)
                },
                line: problem.line,
                column: problem.column,
                hint: problem.hint.clone(),
            })
            .collect();
        refusal
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        if let EngineError::Store(error) = error {
            return error.into();
        }
        let code = error.code();
        if let Some(files) = error.file_problems() {
            return Self::of_files(code, files);
        }
        if let EngineError::Rejected(Rejection::BudgetSpent { run_id, limit, used, allowed }) =
            &error
        {
            let name = spoken_name(*limit);
            return Self::new(code, spoken_spent(*limit, *used, *allowed)).about(run_id).hint(format!(
                "raise it: {{\"raise\": {{\"{name}\": N}}}}; --raise {name}=N on the command line"
            ));
        }
        let detail = detail(code, &error);
        let refusal = Self::new(code, detail);
        if let EngineError::Agents(error) = &error {
            let refusal = refusal.at("/agent");
            return match error.hint() {
                Some(hint) => refusal.hint(hint),
                None => refusal,
            };
        }
        if let EngineError::Catalog(problem) = &error
            && !problem.hint().is_empty()
        {
            return refusal.hint(problem.hint());
        }
        if let EngineError::Dependency(problem) = &error {
            return refusal.hint(problem.hint());
        }
        if let EngineError::Outbox(outbox::CallbackProblem::Refused(Refused::Address {
            host,
            ..
        })) = &error
        {
            return refusal.hint(format!(
                "if reports may go there, start the server with --allow-callback {host}"
            ));
        }
        if let EngineError::Task(problem) = &error {
            let refusal = match problem.pointer() {
                Some(pointer) => refusal.at(pointer),
                None => refusal,
            };
            return match problem.hint() {
                Some(hint) => refusal.hint(hint),
                None => refusal,
            };
        }
        if let EngineError::Definition(error) = &error
            && let Some(pointer) = error.pointer()
        {
            return refusal.at(pointer);
        }
        if let EngineError::Schedule(error) = &error {
            return refusal.at(match error {
                InvalidSchedule::TimeZone { .. } => "/timezone",
                InvalidSchedule::Expression(_) => "/cron",
            });
        }
        if let EngineError::Schema(SchemaProblem::Input { path, .. }) = &error {
            return refusal.at(format!("/input{}", path.trim_end_matches('/')));
        }
        if let EngineError::SecretExposed(SecretExposed { place, .. }) = &error {
            return refusal.at(if *place == "environment" { "/env" } else { "/input" });
        }
        refusal
    }
}

impl From<agents::Error> for Refusal {
    fn from(error: agents::Error) -> Self {
        let agents::Error::Problem(problem) = error else {
            return EngineError::from(error).into();
        };
        let code = problem.code();
        let refusal = Self::new(code, detail(code, &problem));
        match problem.hint() {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let code = code::of_store(&error);
        let refusal = Self::new(code, detail(code, &error));
        if let StoreError::SessionBusy { run_id, .. } | StoreError::SessionInUse { run_id, .. } =
            &error
        {
            return refusal.about(run_id);
        }
        refusal
    }
}

/// Formats the error and its causes in one line. Internal details are logged, not sent to callers.
fn detail(code: ErrorCode, error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    if errand_api::http_status::of(code) == 500 {
        tracing::error!(code = code.as_str(), "{text}");
        return "the server could not do it; its log says why".to_owned();
    }
    text
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media_type = HeaderValue::from_static(ProblemDetails::MEDIA_TYPE);
        let mut response = (status, Json(self.problem)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response.headers_mut().extend(self.headers);
        response
    }
}
