//! Information about the gateway itself.

use schemars::JsonSchema;
use serde::Serialize;

use super::route::{Answer, Area, KeyScope, Method, Route};
use crate::error_code::ErrorCode;

/// The media type of metrics.
pub const METRICS_MEDIA_TYPE: &str = "text/plain";

/// Routes with information about the gateway itself.
pub const AREA: Area = Area {
    name: "meta",
    says: "The gateway itself: health, metrics, this document.",
    routes: &[
        Route::new("get_openapi", Method::Get, "/openapi.json", KeyScope::RunsRead)
            .open()
            .says("This document.")
            .answers(&[Answer::json::<AnyObject>(200, "OpenAPI 3.1.")]),
        Route::new("get_healthz", Method::Get, "/healthz", KeyScope::RunsRead)
            .open()
            .says("Answers while the process is alive.")
            .answers(&[Answer::json::<Health>(200, "The process is alive.")]),
        Route::new("get_readyz", Method::Get, "/readyz", KeyScope::RunsRead)
            .open()
            .says("Answers 200 while requests can be served: the store answers, and the server is not ending.")
            .answers(&[Answer::json::<Health>(200, "Requests can be served.")])
            .errors(&[ErrorCode::ShuttingDown, ErrorCode::RegistryBusy]),
        Route::new("get_metrics", Method::Get, "/metrics", KeyScope::Admin)
            .says("The metrics of this process, for Prometheus. Only for keys of the namespace default.")
            .answers(&[Answer::bytes(200, METRICS_MEDIA_TYPE, "Text format 0.0.4 of Prometheus; OpenMetrics 1.0 if `Accept` asks for it.")]),
    ],
};

/// A JSON object.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AnyObject(serde_json::Map<String, serde_json::Value>);

/// Health of a server.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Health {
    /// `alive` or `ready`.
    pub status: String,
    /// The version of the program.
    pub version: String,
}

impl Health {
    /// Returns the health of this program.
    pub fn new(status: &str) -> Self {
        Self { status: status.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}
