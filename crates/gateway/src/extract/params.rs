//! Extractor of path parameters.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::Gateway;
use crate::refusal::Refusal;

/// Path parameters by name.
#[derive(Clone, Debug)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Returns a path parameter.
    ///
    /// # Errors
    ///
    /// If the path has none of that name, which is a bug.
    pub(crate) fn get(&self, name: &str) -> Result<&str, Refusal> {
        let value = self.0.get(name).map(String::as_str);
        value.ok_or_else(|| Refusal::parameter(name, format!("the path has no {name}")))
    }
}

impl FromRequestParts<Gateway> for Params {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Gateway) -> Result<Self, Refusal> {
        let found = Path::<BTreeMap<String, String>>::from_request_parts(parts, state).await;
        let Path(params) = found.map_err(|error| Refusal::parameter("path", error.body_text()))?;
        Ok(Self(params))
    }
}
