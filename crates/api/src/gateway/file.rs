//! Files of runs: artifacts, logs, inventories, exports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::route::{Answer, Area, Header, KeyScope, Method, Route};
use crate::bom_page::BomPage;
use crate::error_code::ErrorCode;
use crate::record::RecordArtifact;

/// Header with the requested part.
pub(super) const RANGE: Header =
    Header { name: "Range", says: "The range of bytes: `bytes=0-99`." };
/// Header with the offset of the log's part.
pub(super) const LOG_OFFSET: Header = Header {
    name: LOG_OFFSET_HEADER,
    says: "Bytes of the log before the first one of the answer, where the log is followed.",
};
/// Header of an answer with a part of a log: its end, from which a client continues.
pub const LOG_OFFSET_HEADER: &str = "errand-log-offset";
/// Header with the digest of the content.
const ETAG: Header = Header { name: "ETag", says: "The digest of the content, in quotes." };

/// A blob: JSON, text or bytes, as the `Content-Type` says.
const BLOB: &[Answer] = &[
    Answer::bytes(200, "application/octet-stream", "All of it.").with(&[ETAG]),
    Answer::bytes(206, "application/octet-stream", "The part that is wanted.").with(&[ETAG]),
];
/// Answers for a value that may be absent.
const VALUE: &[Answer] = &[
    Answer::bytes(200, "application/octet-stream", "All of it.").with(&[ETAG]),
    Answer::empty(204, "There is none."),
    Answer::bytes(206, "application/octet-stream", "The part that is wanted.").with(&[ETAG]),
];

/// Files of runs.
pub const AREA: Area = Area {
    name: "files",
    says: "Files of runs: artifacts, logs, inventories, exports.",
    routes: &[
        Route::new(
            "list_artifacts",
            Method::Get,
            "/v1/runs/{run_id}/artifacts",
            KeyScope::RunsRead,
        )
        .says("Lists the files that a run put out.")
        .answers(&[Answer::json::<Artifacts>(200, "All of them.")])
        .errors(&[ErrorCode::RunNotFound]),
        Route::new(
            "get_artifact",
            Method::Get,
            "/v1/runs/{run_id}/artifacts/{name}",
            KeyScope::RunsRead,
        )
        .says("A file that a run put out; slashes in its name are written as %2F.")
        .headers(&[RANGE])
        .answers(&[
            Answer::bytes(200, "application/octet-stream", "All of it.").with(&[ETAG]),
            Answer::bytes(206, "application/octet-stream", "The part that is wanted.")
                .with(&[ETAG]),
        ])
        .errors(&[
            ErrorCode::RunNotFound,
            ErrorCode::ArtifactNotFound,
            ErrorCode::RangeUnsatisfiable,
        ]),
        Route::new("get_output", Method::Get, "/v1/runs/{run_id}/output", KeyScope::RunsRead)
            .says("The output of a run, byte for byte, however long.")
            .headers(&[RANGE])
            .answers(VALUE)
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RangeUnsatisfiable]),
        Route::new("get_input", Method::Get, "/v1/runs/{run_id}/input", KeyScope::RunsRead)
            .says("The input of a run, byte for byte, however long.")
            .headers(&[RANGE])
            .answers(VALUE)
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RangeUnsatisfiable]),
        Route::new("get_blob", Method::Get, "/v1/runs/{run_id}/blobs/{digest}", KeyScope::RunsRead)
            .says("A blob that the journal of a run names: what a `$blob` stands for.")
            .headers(&[RANGE])
            .answers(BLOB)
            .errors(&[
                ErrorCode::RunNotFound,
                ErrorCode::BlobNotFound,
                ErrorCode::RangeUnsatisfiable,
            ]),
        Route::new("get_log", Method::Get, "/v1/runs/{run_id}/log", KeyScope::RunsRead)
            .says("The log of a run: lines of a time, a stream, F or P, and text.")
            .query::<LogQuery>()
            .headers(&[RANGE])
            .answers(&[
                Answer::bytes(200, "text/plain", "The lines.").with(&[LOG_OFFSET]),
                Answer::bytes(206, "text/plain", "The part that is wanted, of the whole log."),
            ])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::RangeUnsatisfiable]),
        Route::new("get_bom", Method::Get, "/v1/runs/{run_id}/bom", KeyScope::RunsRead)
            .says("The inventory of a run's agent: CycloneDX 1.6.")
            .query::<BomQuery>()
            .answers(&[Answer::json::<CycloneDx>(200, "The inventory.").with(&[ETAG])])
            .errors(&[ErrorCode::RunNotFound, ErrorCode::BomNotFound, ErrorCode::RecordDamaged]),
        Route::new("list_boms", Method::Get, "/v1/boms/{agent}", KeyScope::RunsRead)
            .says("Lists the generations of an agent's inventory, the latest first.")
            .query::<BomsQuery>()
            .answers(&[Answer::json::<BomPage>(200, "The generations.")]),
        Route::new(
            "get_bom_generation",
            Method::Get,
            "/v1/boms/{agent}/{generation}",
            KeyScope::RunsRead,
        )
        .says("A generation of an agent's inventory: CycloneDX 1.6.")
        .answers(&[Answer::json::<CycloneDx>(200, "The inventory.").with(&[ETAG])])
        .errors(&[ErrorCode::BomNotFound, ErrorCode::RecordDamaged]),
    ],
};

/// The files that a run put out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifacts {
    /// By name.
    pub artifacts: Vec<RecordArtifact>,
}

/// Selection of a log's lines. Without any field, the log is a file of which ranges can be
/// requested.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// The number of lines from the end; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Only what was printed then or later: epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// True if errand's own lines count for `tail`, as by default. They are sent in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<bool>,
    /// True to continue until the run ends. Sent as events if `text/event-stream` is accepted. As
    /// text, the answer is complete only if it ends as HTTP says: it breaks off when the server
    /// ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
    /// Only what comes behind so many bytes of the log: where a client goes on whose connection
    /// broke. Not with `tail` or `since_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
}

/// Selection of an inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BomQuery {
    /// Attempt whose inventory is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempt: Option<u32>,
}

/// Number of generations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BomsQuery {
    /// The greatest number of entries, the latest; 1,000 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub last: Option<u32>,
}

/// An inventory.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CycloneDx(pub serde_json::Map<String, Value>);
