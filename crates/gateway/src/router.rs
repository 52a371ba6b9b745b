//! The router: the table of routes, with a handler for each.

use std::collections::HashMap;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodFilter;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::routes::{Method, Route, areas};

use crate::auth::guard;
use crate::middleware::outermost;
use crate::refusal::Refusal;
use crate::{Gateway, grpc, routes};

/// Returns the router of a gateway.
pub fn router(gateway: &Gateway) -> Router {
    let mut handlers: HashMap<&'static str, routes::Attach> =
        routes::handlers().into_iter().map(|handled| (handled.id, handled.attach)).collect();
    let mut router = Router::new();
    let areas = areas().iter().filter(|area| gateway.config().serves(area));
    for route in areas.flat_map(|area| area.routes) {
        // A route without a handler is not served: a test finds it.
        let Some(attach) = handlers.remove(route.id) else { continue };
        let state: (Gateway, &'static Route) = (gateway.clone(), route);
        let layer = from_fn_with_state(state, guard);
        router = router.route(route.path, attach(filter(route.method)).layer(layer));
    }
    let rest = router
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .with_state(gateway.clone());
    // A layer of the inner router would run after the route was chosen.
    Router::new()
        .fallback_service(grpc::beside(gateway, rest))
        .layer(from_fn(without_trailing_slash))
        .layer(from_fn_with_state(gateway.clone(), outermost))
}

/// Removes trailing slashes from the path: no route ends with one.
async fn without_trailing_slash(mut request: Request, next: Next) -> Response {
    let uri = request.uri();
    let path = uri.path().trim_end_matches('/');
    if path.len() < uri.path().len() && !path.is_empty() {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = format!("{path}{query}").parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    next.run(request).await
}

const fn filter(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    }
}

async fn unknown_path(request: Request) -> Refusal {
    let detail = format!("nothing answers at {}", request.uri().path());
    Refusal::new(ErrorCode::PathNotFound, detail).hint("/openapi.json lists all paths")
}

async fn unknown_method(request: Request) -> Refusal {
    let detail = format!("{} does not answer {}", request.uri().path(), request.method());
    Refusal::new(ErrorCode::MethodNotAllowed, detail)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use errand_api::gateway::openapi;
    use errand_api::gateway::routes::all;

    use super::*;

    #[test]
    fn every_route_of_the_table_has_one_handler_and_every_handler_a_route() {
        let handlers = routes::handlers();
        let handled: BTreeSet<&str> = handlers.iter().map(|handled| handled.id).collect();
        assert_eq!(handled.len(), handlers.len(), "a route has two handlers");
        let table: BTreeSet<&str> = all().map(|route| route.id).collect();
        assert_eq!(handled, table);
    }

    #[test]
    fn every_schema_of_a_body_compiles() {
        for schema in all().filter_map(openapi::body_schema) {
            assert!(jsonschema::draft202012::new(&schema).is_ok(), "{schema:#}");
        }
    }
}
