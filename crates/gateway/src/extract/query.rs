//! Extractor of the query string, which refuses unknown and unreadable parameters.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::values::{self, ParameterMistake};
use crate::Gateway;
use crate::auth::MatchedRoute;
use crate::refusal::Refusal;
use crate::schema_check::Checked;

/// The query as `T`, which denies unknown fields.
#[derive(Clone, Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Serialize> FromRequestParts<Gateway> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Refusal> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Refusal::parameter("query", error.body_text()))?;
        let query: T = read(pairs.0)?;
        let route = parts.extensions.get::<MatchedRoute>().map(|MatchedRoute(route)| route.id);
        if let Some(validator) = route.and_then(|route| gateway.query_of(route)) {
            check(validator, &query)?;
        }
        Ok(Self(query))
    }
}

/// Checks the query against the schema in the table of routes.
fn check(schema: &Checked, query: &impl Serialize) -> Result<(), Refusal> {
    let value = serde_json::to_value(query).unwrap_or_default();
    let Some(misfit) = schema.misfit(&value) else { return Ok(()) };
    let name = misfit.pointer.split('/').nth(1).unwrap_or("query");
    Err(Refusal::parameter(name, misfit.message))
}

/// Reads pairs as a `T`.
pub(crate) fn read<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, Refusal> {
    values::read(pairs)
        .map_err(|ParameterMistake { name, message }| Refusal::parameter(&name, message))
}
