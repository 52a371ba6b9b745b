//! Hooks: requests from outside that fire runs.

use std::collections::BTreeMap;

use errand_model::RunId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::agent::PageQuery;
use super::route::{Answer, Area, Body, KeyScope, Method, Route};
use super::run::given;
use crate::error_code::ErrorCode;

/// The largest body of a request to a hook.
pub const HOOK_BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// Request for a hook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookRequest {
    /// A registered agent: its name, or `name@version`.
    #[schemars(length(min = 1, max = 200))]
    pub agent: String,
    /// Signature of requests.
    pub signature: HookSignature,
    /// Input of the agent: JSON with references such as `{{ body.action }}` in its strings; by
    /// default the whole body.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(extend("x-nullable" = true))]
    pub input: Option<Value>,
    /// Detection of repeated requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<HookDedupe>,
    /// Filter of requests; by default all count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<HookEvents>,
    /// Labels of the runs; references are allowed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// The conversation that the runs belong to; references are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub session_id: Option<String>,
    /// True, as by default, if it takes requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Signature of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookSignature {
    /// Scheme of the signature.
    #[serde(rename = "type")]
    pub scheme: HookScheme,
    /// The header that has it, for `hmac_sha256` (`x-signature` unless said) and `token`
    /// (`authorization` unless said).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub header: Option<String>,
    /// Prefix of the header, for `hmac_sha256` and `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub prefix: Option<String>,
    /// The secret: never comes back. One is made up for a new hook without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 1024))]
    pub secret: Option<String>,
}

/// Scheme of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookScheme {
    /// HMAC-SHA256 over the body, in hex or base64.
    HmacSha256,
    /// As GitHub signs: `X-Hub-Signature-256`.
    Github,
    /// As Standard Webhooks sign.
    StandardWebhooks,
    /// The secret itself, in a header.
    Token,
}

/// Place of a value in a request: one of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct HookPlace {
    /// The name of a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub header: Option<String>,
    /// A JSON pointer into the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub pointer: Option<String>,
}

/// Detection of repeated requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookDedupe {
    /// Place of the key.
    pub key: HookPlace,
    /// For how long a second request with that key is the same one, such as `10m`; at most 30 days.
    #[schemars(with = "crate::schema::DurationText")]
    pub window: String,
}

/// Filter of requests by event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookEvents {
    /// Place of the event's name; known for `github` and `standard_webhooks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<HookPlace>,
    /// The names that count; with `github` also `<event>.<action>`.
    #[schemars(length(min = 1, max = 64))]
    pub any_of: Vec<String>,
}

/// A hook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hook {
    /// Name of the hook.
    pub name: String,
    /// Path for requests.
    pub path: String,
    /// Its agent: a name, or `name@version`.
    pub agent: String,
    /// Signature of requests; its `secret` is only in the answer that generated it.
    pub signature: HookSignature,
    /// Input of the agent; `null`: the whole body.
    #[serde(default)]
    pub input: Option<Value>,
    /// Detection of repeated requests.
    pub dedupe: Option<HookDedupe>,
    /// Filter of requests.
    pub events: Option<HookEvents>,
    /// Labels of the runs.
    pub labels: BTreeMap<String, String>,
    /// The conversation that the runs belong to.
    pub session_id: Option<String>,
    /// True if it takes requests.
    pub enabled: bool,
    /// Time of its creation, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// Time of its last change, in milliseconds since 1970.
    pub updated_at_ms: i64,
}

/// A page of hooks, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HookPage {
    /// The hooks.
    pub hooks: Vec<Hook>,
    /// Value of `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookOutcome {
    /// The request fired a run.
    Created,
    /// An equal request fired a run before.
    Coalesced,
    /// The hook does not ask for requests like that.
    Skipped,
    /// The request was refused.
    Rejected,
}

/// A request to a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HookDelivery {
    /// Its own id.
    pub id: String,
    /// Time of the request, in milliseconds since 1970.
    pub at_ms: i64,
    /// Outcome of the request.
    pub outcome: HookOutcome,
    /// The run that it fired, or that an equal request fired before.
    #[schemars(with = "Option<String>")]
    pub run_id: Option<RunId>,
    /// Reason why it fired no run.
    pub reason: Option<String>,
    /// The name of its event, where that is known.
    pub event: Option<String>,
    /// Address of the sender.
    pub remote: Option<String>,
    /// Length of its body.
    pub body_bytes: u64,
}

/// A page of requests, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HookDeliveryPage {
    /// The requests.
    pub deliveries: Vec<HookDelivery>,
    /// Value of `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HookAnswer {
    /// Under which id it is recorded.
    pub delivery_id: String,
    /// Outcome of the request.
    pub outcome: HookOutcome,
    /// The run that it fired, or that an equal request fired before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub run_id: Option<RunId>,
    /// Reason why it fired no run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

const RECEIVED: &[Answer] = &[
    Answer::json::<HookAnswer>(202, "The request fired a run."),
    Answer::json::<HookAnswer>(
        200,
        "An equal request fired a run before, or this event does not count.",
    ),
];

const NOT_RECEIVED: &[ErrorCode] = &[
    ErrorCode::HookNotFound,
    ErrorCode::HookDisabled,
    ErrorCode::HookRejected,
    ErrorCode::SignatureInvalid,
    ErrorCode::RequestTooLarge,
    ErrorCode::NamespaceInvalid,
    ErrorCode::AgentNotFound,
    ErrorCode::InputInvalid,
    ErrorCode::ChangedMeanwhile,
];

/// Routes about hooks.
pub const AREA: Area = Area {
    name: "hooks",
    says: "Requests from outside that fire runs of registered agents.",
    routes: &[
        Route::new("list_hooks", Method::Get, "/v1/hooks", KeyScope::RunsRead)
            .says("Lists hooks by name.")
            .query::<PageQuery>()
            .answers(&[Answer::json::<HookPage>(200, "A page of them.")]),
        Route::new("put_hook", Method::Put, "/v1/hooks/{hook}", KeyScope::Admin)
            .says("Makes a hook of that name, or changes it.")
            .takes(Body::json::<HookRequest>())
            .answers(&[
                Answer::json::<Hook>(201, "The hook is made; with its secret, if errand chose it."),
                Answer::json::<Hook>(200, "The hook is changed."),
            ])
            .errors(&[
                ErrorCode::HookInvalid,
                ErrorCode::AgentNotFound,
                ErrorCode::TooManyDefinitions,
                ErrorCode::ChangedMeanwhile,
            ]),
        Route::new("get_hook", Method::Get, "/v1/hooks/{hook}", KeyScope::RunsRead)
            .says("A hook; never its secret.")
            .answers(&[Answer::json::<Hook>(200, "The hook.")])
            .errors(&[ErrorCode::HookNotFound]),
        Route::new("delete_hook", Method::Delete, "/v1/hooks/{hook}", KeyScope::Admin)
            .says("Forgets a hook; its runs stay.")
            .answers(&[Answer::empty(204, "The hook is forgotten.")])
            .errors(&[ErrorCode::HookNotFound, ErrorCode::ChangedMeanwhile]),
        Route::new(
            "list_hook_deliveries",
            Method::Get,
            "/v1/hooks/{hook}/deliveries",
            KeyScope::RunsRead,
        )
        .says("Lists requests to a hook with their outcomes, the latest first.")
        .query::<PageQuery>()
        .answers(&[Answer::json::<HookDeliveryPage>(200, "A page of them.")])
        .errors(&[ErrorCode::HookNotFound]),
        Route::new("receive_hook", Method::Post, "/v1/hooks/{hook}", KeyScope::RunsWrite)
            .open()
            .says("Takes a request to a hook of the default namespace: its signature is the key.")
            .takes(Body::Bytes("application/json"))
            .answers(RECEIVED)
            .errors(NOT_RECEIVED),
        Route::new(
            "receive_hook_of",
            Method::Post,
            "/v1/hooks/{namespace}/{hook}",
            KeyScope::RunsWrite,
        )
        .open()
        .says("Takes a request to a hook of a namespace: its signature is the key.")
        .takes(Body::Bytes("application/json"))
        .answers(RECEIVED)
        .errors(NOT_RECEIVED),
    ],
};
