//! Failures about files that a user wrote: agent files and manifests.

use errand_api::agent_file::Problems;
use errand_api::error_code::ErrorCode;
use errand_engine::CodedError as _;
use errand_engine::catalog::CatalogProblem;

use super::Failure;

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::of_files(&[problems])
    }
}

fn all_problems(files: &[Problems]) -> String {
    let message = files.iter().map(|problems| {
        let count = problems.problems.len() + problems.omitted;
        let noun = if count == 1 { "problem" } else { "problems" };
        format!("{} has {count} {noun}\n\n{}", problems.source_name, problems.with_excerpts())
    });
    message.collect::<Vec<_>>().join("\n")
}

impl Failure {
    /// Returns the failure with all problems of agent files.
    pub(crate) fn of_files(files: &[Problems]) -> Self {
        Self::new(Problems::code_of(files), all_problems(files))
            .hint("`errand schema` prints what an agent file may say")
    }

    /// Returns the failure with all problems of manifests.
    pub(crate) fn of_manifests(files: &[Problems]) -> Self {
        Self::new(ErrorCode::ManifestInvalid, all_problems(files))
            .hint("`errand schema KIND` prints what a manifest of a kind may say")
    }
}

/// Returns the failure for a problem of the catalog.
pub(super) fn of_catalog(problem: &CatalogProblem) -> Failure {
    if let Some(files) = problem.file_problems() {
        return Failure::of_manifests(files);
    }
    let failure = Failure::new(problem.code(), problem.to_string());
    if problem.hint().is_empty() { failure } else { failure.hint(problem.hint()) }
}
