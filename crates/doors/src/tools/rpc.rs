//! Messages to tool servers, as JSON.

use serde_json::{Map, Value, json};

/// The latest version with sessions, which errand proposes.
pub(crate) const SESSION_VERSION: &str = "2025-11-25";
/// The version without sessions.
pub(crate) const STATELESS_VERSION: &str = "2026-07-28";
/// Versions with sessions that errand speaks, the latest first.
pub(crate) const SESSION_VERSIONS: [&str; 4] =
    [SESSION_VERSION, "2025-06-18", "2025-03-26", "2024-11-05"];

/// Returns a request.
pub(crate) fn request(id: u64, method: &str, params: &Value) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
        .to_string()
        .into_bytes()
}

/// Returns a notification.
pub(crate) fn notification(method: &str, params: Option<&Value>) -> Vec<u8> {
    let mut message = json!({ "jsonrpc": "2.0", "method": method });
    if let Some(params) = params {
        message["params"] = params.clone();
    }
    message.to_string().into_bytes()
}

/// Returns an empty result for a request of a server.
pub(crate) fn empty_result(id: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}").into_bytes()
}

/// Name and version of this program.
pub(crate) fn own_name() -> Value {
    json!({ "name": "errand", "version": env!("CARGO_PKG_VERSION") })
}

/// Parameters that open a session.
pub(crate) fn initialize() -> Value {
    json!({
        "protocolVersion": SESSION_VERSION, "capabilities": {}, "clientInfo": own_name(),
    })
}

/// Adds the members that every request of the stateless era has.
pub(crate) fn stateless(params: &Value, version: &str) -> Value {
    let mut params = params.as_object().cloned().unwrap_or_default();
    let meta = params.entry("_meta").or_insert_with(|| Value::Object(Map::new()));
    if let Some(meta) = meta.as_object_mut() {
        meta.insert("io.modelcontextprotocol/protocolVersion".to_owned(), version.into());
        meta.insert("io.modelcontextprotocol/clientInfo".to_owned(), own_name());
        meta.insert("io.modelcontextprotocol/clientCapabilities".to_owned(), json!({}));
    }
    Value::Object(params)
}
