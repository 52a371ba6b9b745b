//! What the gateway tells of itself.

use schemars::JsonSchema;
use serde::Serialize;

use super::routes::{Answer, Area, Method, Route, Scope};

/// What the gateway tells of itself.
pub const AREA: Area = Area {
    name: "meta",
    says: "What the gateway tells of itself.",
    routes: &[Route::new("get_openapi", Method::Get, "/openapi.json", Scope::RunsRead)
        .open()
        .says("This document.")
        .answers(&[Answer::json::<AnyObject>(200, "OpenAPI 3.1.")])],
};

/// A JSON object.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AnyObject(serde_json::Map<String, serde_json::Value>);
