//! References to parts of a request: a header, a query parameter, a part of the body.

use std::collections::BTreeMap;

use hyper::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Place of a value in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestField {
    /// A header, lower case.
    Header(String),
    /// A JSON pointer (RFC 6901) into the body.
    Pointer(String),
}

/// Content of a request, credentials masked in headers and query.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    /// The headers unmasked: only for dedupe keys and event names.
    pub(super) raw: &'a HeaderMap,
    pub(super) headers: &'a BTreeMap<String, String>,
    pub(super) query: &'a BTreeMap<String, String>,
    pub(super) body: &'a Value,
    pub(super) hook: &'a str,
    pub(super) delivery_id: &'a str,
}

/// A reference in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Body(String),
    Header(String),
    Query(String),
    HookName,
    DeliveryId,
}

impl Reference {
    /// Parses `body`, `body.a.0`, `body#/a/0`, `headers.x-event`, `query.page`, `hook.name` and
    /// `delivery.id`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(pointer) = text.strip_prefix("body#") {
            return if pointer.is_empty() || pointer.starts_with('/') {
                Ok(Self::Body(pointer.to_owned()))
            } else {
                Err(format!("{text:?}: what follows body# is a JSON pointer such as #/a/0"))
            };
        }
        let (root, rest) = text.split_once('.').unwrap_or((text, ""));
        let is_empty = rest.is_empty() || rest.split('.').any(str::is_empty);
        match root {
            "body" if text == "body" => Ok(Self::Body(String::new())),
            "body" if !is_empty => {
                let escaped =
                    rest.split('.').map(|part| part.replace('~', "~0").replace('/', "~1"));
                Ok(Self::Body(escaped.fold(String::new(), |all, part| all + "/" + &part)))
            }
            "headers" if !rest.is_empty() => Ok(Self::Header(rest.to_lowercase())),
            "query" if !rest.is_empty() => Ok(Self::Query(rest.to_owned())),
            "hook" if rest == "name" => Ok(Self::HookName),
            "delivery" if rest == "id" => Ok(Self::DeliveryId),
            _ => Err(format!(
                "{text:?} is not body, body.a.b, body#/a/b, headers.name, query.name, hook.name or \
                 delivery.id"
            )),
        }
    }

    pub(super) fn find(&self, request: &Request<'_>) -> Option<Value> {
        match self {
            Self::Body(pointer) => request.body.pointer(pointer).cloned(),
            Self::Header(name) => request.headers.get(name).cloned().map(Value::String),
            Self::Query(name) => request.query.get(name).cloned().map(Value::String),
            Self::HookName => Some(request.hook.into()),
            Self::DeliveryId => Some(request.delivery_id.into()),
        }
    }
}

impl RequestField {
    /// Returns the value at this place as text; `None` if it is absent, or neither text nor a
    /// number.
    pub(super) fn find(&self, request: &Request<'_>) -> Option<String> {
        match self {
            Self::Header(name) => Some(request.raw.get(name)?.to_str().ok()?.to_owned()),
            Self::Pointer(pointer) => match request.body.pointer(pointer)? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
            },
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Header(name) if http_name(name) => Ok(()),
            Self::Header(name) => Err(format!("{name:?} is no name of a header")),
            Self::Pointer(pointer) if pointer.is_empty() || pointer.starts_with('/') => Ok(()),
            Self::Pointer(pointer) => {
                Err(format!("{pointer:?} is no JSON pointer: it begins with '/'"))
            }
        }
    }
}

impl std::fmt::Display for RequestField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Pointer(pointer) => write!(f, "{pointer} in the body"),
        }
    }
}

/// Returns true if a text can be the name of a header.
pub(super) fn http_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
