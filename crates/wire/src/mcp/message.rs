//! JSON-RPC messages.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::id::McpId;
use super::request::McpRequest;
use super::response::{McpOutcome, McpResponse, McpResult};
use crate::lenient::{Object, Text, document};
use crate::request::{MalformedRequest, malformed};

/// A message in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpMessage {
    /// A request, which is answered.
    Request(McpRequest),
    /// A notification, which is not answered.
    Notification(McpNotification),
    /// The answer to a request.
    Response(McpResponse),
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpNotification {
    /// Method, such as `notifications/tools/list_changed`.
    pub method: String,
    /// Id of the request that is cancelled or makes progress, where the notification names one.
    pub request: Option<McpId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Text<'a>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Object<RpcError<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RpcError<'a> {
    code: i64,
    #[serde(borrow)]
    message: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NotificationParams<'a> {
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
}

impl McpMessage {
    /// Reads one message.
    ///
    /// # Errors
    ///
    /// [`MalformedRequest`] if the text is not a JSON object, or neither a request, a notification
    /// nor a response. Batches, which one early version had, are no message.
    pub fn of(json: &[u8]) -> Result<Self, MalformedRequest> {
        let envelope: Envelope<'_> = document(json).map_err(|it| malformed(&it))?;
        let id = envelope.id.and_then(McpId::of);
        match (envelope.method.given(), id) {
            (Some(method), Some(id)) => {
                McpRequest::of(id, method, envelope.params).map(Self::Request)
            }
            (Some(method), None) => {
                let params = envelope.params.map_or("{}", RawValue::get);
                let Object(params) = serde_json::from_str::<Object<NotificationParams<'_>>>(params)
                    .map_err(|it| malformed(&it))?;
                let request = params.and_then(|params| McpId::of(params.request_id?));
                Ok(Self::Notification(McpNotification { method: method.to_owned(), request }))
            }
            (None, id) => {
                let outcome = match (&envelope.error.0, envelope.result) {
                    (Some(error), _) => McpOutcome::Error {
                        code: error.code,
                        message: error.message.as_str().to_owned(),
                    },
                    (None, Some(result)) => McpOutcome::Result(McpResult::of(result)?),
                    (None, None) => {
                        let message = "neither a method, nor a result, nor an error".to_owned();
                        return Err(MalformedRequest { message, line: 1, column: 0 });
                    }
                };
                Ok(Self::Response(McpResponse { id, outcome }))
            }
        }
    }
}
