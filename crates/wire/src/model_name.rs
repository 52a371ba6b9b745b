//! Names of models in requests, and requests with another one in its place.
//!
//! A gateway that sends a request to another model than it asks for changes the name of the model
//! and no other byte.

use std::ops::Range;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::format::{WireFormat, deployment, gemini_target, path};
use crate::lenient::document;

/// A request that asks another model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenamedRequest {
    /// Path of the request, without a query.
    pub path: String,
    /// Body of the request.
    pub body: Vec<u8>,
}

/// Text of a member with its place; absent if it is no string.
#[derive(Debug, Default)]
struct RawText<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for RawText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(Some(raw).filter(|raw| raw.get().starts_with('"'))))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    model: RawText<'a>,
}

impl RenamedRequest {
    /// Puts the name of a model into a request, by its path and its body. Everything else stays
    /// byte for byte.
    ///
    /// `None`: the request names no model in a place of its format, or names it twice, or the name
    /// cannot stand in that place.
    pub fn of(format: WireFormat, target: &str, body: &[u8], model: &str) -> Option<Self> {
        let path = path(target);
        match format {
            WireFormat::OpenaiChat
            | WireFormat::OpenaiResponses
            | WireFormat::OpenaiEmbeddings
            | WireFormat::AnthropicMessages
            | WireFormat::AnthropicCountTokens => {
                let in_path = deployment(path);
                let place = place_in(body);
                let renamed = match (in_path, place) {
                    (None, None) => return None,
                    (_, None) => body.to_vec(),
                    (_, Some(place)) => replaced(body, place, model)?,
                };
                let path = match in_path {
                    Some(name) => in_segment(path, name, model)?,
                    None => path.to_owned(),
                };
                Some(Self { path, body: renamed })
            }
            WireFormat::GeminiGenerate | WireFormat::GeminiCountTokens => {
                let (name, _) = gemini_target(path)?;
                Some(Self { path: in_segment(path, name, model)?, body: body.to_vec() })
            }
            WireFormat::Opaque => None,
        }
    }
}

/// Returns the place of the model in a body, its quotes included.
fn place_in(body: &[u8]) -> Option<Range<usize>> {
    let members: Body<'_> = document(body).ok()?;
    let raw = members.model.0?.get();
    let start = raw.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    Some(start..start + raw.len())
}

fn replaced(body: &[u8], place: Range<usize>, model: &str) -> Option<Vec<u8>> {
    let name = serde_json::to_string(model).ok()?;
    let (before, after) = (body.get(..place.start)?, body.get(place.end..)?);
    Some([before, name.as_bytes(), after].concat())
}

/// Returns a path with another name in the place of `name`, which is a part of it.
fn in_segment(path: &str, name: &str, model: &str) -> Option<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte);
    if model.is_empty() || !model.bytes().all(is_part) {
        return None;
    }
    let start = name.as_ptr().addr().checked_sub(path.as_ptr().addr())?;
    let (before, after) = (path.get(..start)?, path.get(start + name.len()..)?);
    Some([before, model, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_the_model_changes() {
        let messages = WireFormat::AnthropicMessages;
        for (format, path, body, expect) in [
            (
                WireFormat::OpenaiChat,
                "/v1/chat/completions",
                "{ \"n\":1,\n \"model\" : \"gpt-4o\" ,\"x\":{\"model\":\"deep\"}}",
                Some((
                    "/v1/chat/completions",
                    "{ \"n\":1,\n \"model\" : \"other\" ,\"x\":{\"model\":\"deep\"}}",
                )),
            ),
            (
                messages,
                "/v1/messages",
                r#"{"model":"claud\u0065"}"#,
                Some(("/v1/messages", r#"{"model":"other"}"#)),
            ),
            (messages, "/v1/messages", r#"{"model":7}"#, None),
            (messages, "/v1/messages", r#"{"model":"a","model":"b"}"#, None),
            (messages, "/v1/messages", "[]", None),
            (
                WireFormat::GeminiGenerate,
                "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse",
                "{}",
                Some(("/v1beta/models/other:streamGenerateContent", "{}")),
            ),
            (
                WireFormat::OpenaiChat,
                "/openai/deployments/gpt/chat/completions?api-version=1",
                r#"{"stream":true}"#,
                Some(("/openai/deployments/other/chat/completions", r#"{"stream":true}"#)),
            ),
            (WireFormat::Opaque, "/v1/files", r#"{"model":"a"}"#, None),
        ] {
            let renamed = RenamedRequest::of(format, path, body.as_bytes(), "other");
            let renamed = renamed.map(|it| (it.path, String::from_utf8(it.body).unwrap()));
            let expect = expect.map(|(path, body)| (path.to_owned(), body.to_owned()));
            assert_eq!(renamed, expect, "{path} {body}");
        }
    }

    #[test]
    fn a_name_that_no_path_can_hold_is_refused() {
        let path = "/v1beta/models/gemini-3-pro:generateContent";
        for name in ["", "a/b", "a?b", "a b", "a%2f"] {
            assert_eq!(RenamedRequest::of(WireFormat::GeminiGenerate, path, b"{}", name), None);
        }
    }
}
