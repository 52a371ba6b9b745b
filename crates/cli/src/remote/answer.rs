//! Answers of a server that are no success.

use errand_api::error_code::ErrorCode;
use errand_api::gateway::problem::ProblemDetails;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

use super::Url;
use crate::failure::Failure;

/// Longest error body that is read.
const SHOWN_BYTES: usize = 64 * 1024;

/// Returns the failure for an answer that is no success.
pub(super) async fn refused(url: &Url, response: Response) -> Failure {
    let status = response.status();
    let media_type = response.headers().get(CONTENT_TYPE);
    let is_problem = media_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with(ProblemDetails::MEDIA_TYPE));
    let body = match response.bytes().await {
        Ok(body) if is_problem && body.len() <= SHOWN_BYTES => body,
        // The answer comes from a proxy that does not reach the server.
        Ok(_) | Err(_) if matches!(status.as_u16(), 502..=504) => {
            let what = format!("the server {url} does not answer: HTTP {status} came instead");
            return Failure::new(ErrorCode::ServerUnreachable, what);
        }
        Ok(_) | Err(_) => return not_a_server(url, &format!("it answers with HTTP {status}")),
    };
    match serde_json::from_slice::<ProblemDetails>(&body) {
        Ok(problem) => of_problem(url, problem),
        Err(error) => not_a_server(url, &format!("it answers with HTTP {status}")).because(&error),
    }
}

/// Returns the failure for an address where no errand server answers.
pub(super) fn not_a_server(url: &Url, why: &str) -> Failure {
    Failure::new(ErrorCode::NotAServer, format!("{url} is not an errand server: {why}"))
        .hint("the address is that of the server, without /v1")
}

fn of_problem(url: &Url, problem: ProblemDetails) -> Failure {
    let Ok(code) = problem.code.parse::<ErrorCode>() else {
        let what = format!("{} ({})", problem.detail, problem.code);
        return Failure::new(ErrorCode::ServerNewer, what).hint(format!(
            "{url} knows an error that this version does not: use the newer errand"
        ));
    };
    let mut failure = Failure::new(code, problem.detail);
    for found in &problem.problems {
        failure = failure.hint(format!("also: {}", found.message));
    }
    match (problem.hint, code) {
        (Some(hint), _) => failure.hint(hint),
        (None, ErrorCode::KeyMissing | ErrorCode::KeyInvalid | ErrorCode::KeyExpired) => failure
            .hint(
                "set ERRAND_API_KEY, or `errand context add NAME --server URL --key-file FILE`; \
             `errand keys create` on the server makes a key",
            ),
        (None, ErrorCode::ScopeMissing) => {
            failure.hint("use a key that allows it: `errand keys create --scope …` on the server")
        }
        (None, _) => failure,
    }
}
