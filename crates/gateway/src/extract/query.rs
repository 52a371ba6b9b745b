//! The query: only what is known, only what can be read.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::values::{self, Misread};
use crate::Gateway;
use crate::refusal::Refusal;

/// The query as a `T`, which denies fields that it does not know.
#[derive(Clone, Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Gateway> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Refusal> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Refusal::parameter("query", error.body_text()))?;
        read(pairs.0).map(Self)
    }
}

/// Reads pairs as a `T`.
pub(crate) fn read<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, Refusal> {
    values::read(pairs).map_err(|Misread { name, message }| Refusal::parameter(&name, message))
}
