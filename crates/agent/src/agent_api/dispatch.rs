//! From a request to its call, once its token, path and method are checked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use errand_api::error_code::ErrorCode;
use hyper::body::Incoming;
use hyper::header::{ALLOW, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response};

use super::body::Answer;
use super::context::Context;
use super::response::{refused, with_header};
use super::route::Route;
use super::{Refusal, call};

/// Answers one request.
pub(super) async fn answer(context: Arc<Context>, request: Request<Incoming>) -> Response<Answer> {
    match admitted(&context, &request) {
        Ok(route) => match call::carry_out(&context, route, request).await {
            Ok(response) => response,
            Err(refusal) => refused(refusal),
        },
        Err(response) => *response,
    }
}

/// Returns the route of a request if its token and method are valid, or the refusal.
fn admitted(
    context: &Context,
    request: &Request<Incoming>,
) -> Result<Route, Box<Response<Answer>>> {
    if !context.token.is_in(request.headers()) {
        let refusal = Refusal::new(
            401,
            ErrorCode::TokenInvalid,
            "the token is missing, or is not the one of this attempt",
        )
        .with_hint("send the header `Authorization: Bearer $ERRAND_TOKEN`");
        return Err(Box::new(with_header(refusal, WWW_AUTHENTICATE, "Bearer realm=\"errand\"")));
    }
    if context.revoked.load(Ordering::Acquire) {
        return Err(Box::new(refused(Refusal::fenced())));
    }
    let path = request.uri().path();
    let Some(route) = Route::find(path) else {
        let message = format!("there is nothing at {path}");
        return Err(Box::new(refused(Refusal::new(404, ErrorCode::RequestInvalid, message))));
    };
    let methods = route.methods();
    if methods.contains(request.method()) {
        return Ok(route);
    }
    let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let message = format!("{path} does not take {}, but {allowed}", request.method());
    let refusal = Refusal::new(405, ErrorCode::RequestInvalid, message);
    Err(Box::new(with_header(refusal, ALLOW, &allowed)))
}
