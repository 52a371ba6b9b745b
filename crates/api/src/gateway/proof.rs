//! Views of a run other than its record: timeline, graph, export, verification.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::route::{Answer, Area, KeyScope, Method, Route};
use crate::error_code::ErrorCode;
use crate::story::Comparison;

/// Routes with other views of a run.
pub const AREA: Area = Area {
    name: "proof",
    says: "Other views of a run than its record: manifests and comparisons.",
    routes: &[
        Route::new("get_manifest", Method::Get, "/v1/runs/{run_id}/manifest", KeyScope::RunsRead)
            .says("A run as a manifest: kind Run, with metadata, spec and status.")
            .answers(&[Answer::json::<ManifestDocument>(200, "The manifest.")])
            .errors(&[ErrorCode::RunNotFound]),
        Route::new(
            "get_comparison",
            Method::Get,
            "/v1/runs/{run_id}/comparison",
            KeyScope::RunsRead,
        )
        .says("The result of a strict replay that is over.")
        .answers(&[Answer::json::<Comparison>(200, "The compared parts, and their differences.")])
        .errors(&[ErrorCode::RunNotFound, ErrorCode::RunLive, ErrorCode::ReplayRefused]),
    ],
};

/// A manifest.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ManifestDocument(pub serde_json::Map<String, Value>);
