//! Requests with a text of the gateway's own for the model.
//!
//! The text is put at the end of the last message, which is of the user or of a tool: every
//! provider takes it there, and what was cached of the conversation still fits. No other byte
//! changes.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::format::WireFormat;
use crate::lenient::{Text, document};

/// A change of a request that adds a text for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstructedRequest {
    /// Offset in the body, at which nothing is replaced.
    at: usize,
    /// Bytes that are inserted there.
    inserted: String,
}

/// A member with its place.
#[derive(Clone, Copy, Debug, Default)]
struct Raw<'a>(Option<&'a str>);

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(Some(raw.get())))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    messages: Raw<'a>,
    #[serde(borrow)]
    input: Raw<'a>,
    #[serde(borrow)]
    contents: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    parts: Raw<'a>,
}

impl InstructedRequest {
    /// Returns the change that adds `text`; `None`: the format has no conversation, or the last
    /// message is none of the user or of a tool.
    pub fn of(format: WireFormat, body: &[u8], text: &str) -> Option<Self> {
        let members: Body<'_> = document(body).ok()?;
        let (place, item) = match format {
            WireFormat::OpenaiChat | WireFormat::AnthropicMessages => {
                let last = last_message(members.messages, "assistant")?;
                (last.content.0?, r#"{"type":"text","text":"#)
            }
            WireFormat::OpenaiResponses => (members.input.0?, r#"{"role":"user","content":"#),
            WireFormat::GeminiGenerate => {
                let parts = last_message(members.contents, "model")?.parts.0?;
                (Some(parts).filter(|parts| parts.starts_with('['))?, r#"{"text":"#)
            }
            WireFormat::OpenaiEmbeddings
            | WireFormat::AnthropicCountTokens
            | WireFormat::GeminiCountTokens
            | WireFormat::Opaque => return None,
        };
        // A string and an array end with one byte.
        let end = place.as_ptr().addr().checked_sub(body.as_ptr().addr())? + place.len() - 1;
        if place.starts_with('"') {
            let quoted = serde_json::to_string(&format!("\n\n{text}")).ok()?;
            let inserted = quoted.get(1..quoted.len() - 1)?.to_owned();
            return Some(Self { at: end, inserted });
        }
        let items: Vec<&RawValue> = serde_json::from_str(place).ok()?;
        let comma = if items.is_empty() { "" } else { "," };
        let quoted = serde_json::to_string(text).ok()?;
        Some(Self { at: end, inserted: format!("{comma}{item}{quoted}}}") })
    }

    /// The changed body.
    pub fn apply(&self, body: &[u8]) -> Vec<u8> {
        let (before, after) = body.split_at(self.at.min(body.len()));
        [before, self.inserted.as_bytes(), after].concat()
    }
}

/// Returns the last message of a conversation, unless it is one of the model.
fn last_message<'a>(messages: Raw<'a>, model: &str) -> Option<Message<'a>> {
    let items: Vec<&'a RawValue> = serde_json::from_str(messages.0?).ok()?;
    let last: Message<'a> = document(items.last()?.get().as_bytes()).ok()?;
    Some(last).filter(|last| last.role.as_str() != model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_added_to_the_last_message_and_no_other_byte_changes() {
        for (format, body, expect) in [
            (
                WireFormat::OpenaiChat,
                r#"{"messages":[ {"role":"user", "content":"a\"é" } ],"n":1}"#,
                Some(r#"{"messages":[ {"role":"user", "content":"a\"é\n\nsay \"x\"" } ],"n":1}"#),
            ),
            (
                WireFormat::OpenaiChat,
                r#"{"messages":[{"role":"assistant"},{"role":"tool","content":[ ]}]}"#,
                Some(
                    r#"{"messages":[{"role":"assistant"},{"role":"tool","content":[ {"type":"text","text":"say \"x\""}]}]}"#,
                ),
            ),
            (
                WireFormat::AnthropicMessages,
                r#"{"messages":[{"content":[{"type":"tool_result"}],"role":"user"}]}"#,
                Some(
                    r#"{"messages":[{"content":[{"type":"tool_result"},{"type":"text","text":"say \"x\""}],"role":"user"}]}"#,
                ),
            ),
            (
                WireFormat::AnthropicMessages,
                r#"{"messages":[{"role":"assistant","content":"{"}]}"#,
                None,
            ),
            (
                WireFormat::OpenaiResponses,
                r#"{"input":"hi"}"#,
                Some(r#"{"input":"hi\n\nsay \"x\""}"#),
            ),
            (
                WireFormat::OpenaiResponses,
                r#"{"input":[{"type":"function_call_output"}]}"#,
                Some(
                    r#"{"input":[{"type":"function_call_output"},{"role":"user","content":"say \"x\""}]}"#,
                ),
            ),
            (
                WireFormat::GeminiGenerate,
                r#"{"contents":[{"parts":[{"text":"a"}]}]}"#,
                Some(r#"{"contents":[{"parts":[{"text":"a"},{"text":"say \"x\""}]}]}"#),
            ),
            (WireFormat::GeminiGenerate, r#"{"contents":[{"role":"model","parts":[]}]}"#, None),
            (WireFormat::GeminiGenerate, r#"{"contents":[{"parts":{"text":"a"}}]}"#, None),
            (WireFormat::OpenaiChat, r#"{"messages":[{"role":"user","content":null}]}"#, None),
            (WireFormat::OpenaiChat, r#"{"messages":[]}"#, None),
            (WireFormat::OpenaiChat, "{}", None),
            (WireFormat::OpenaiEmbeddings, r#"{"input":"hi"}"#, None),
            (WireFormat::Opaque, "text", None),
        ] {
            let found = InstructedRequest::of(format, body.as_bytes(), "say \"x\"");
            let found = found.map(|it| String::from_utf8(it.apply(body.as_bytes())).unwrap());
            assert_eq!(found.as_deref(), expect, "{body}");
        }
    }
}
