//! Calls about a run's session: state, history, tool results.

use errand_api::agent_protocol::{
    AppendMessages, AppendMessagesAnswer, KeepResult, KeepResultAnswer, MessagesAnswer, NewMessage,
    ResultAnswer, ValueEncoding, limit,
};
use errand_model::event::SessionMessage;
use errand_model::{Digest, Payload, Timestamp, canonical};
use serde_json::Value;

use super::query::{parameters, unknown};
use super::{Refusal, SessionBackend, value};

/// Handles `GET` of the history, with the URL's query.
pub(super) async fn messages(
    backend: &(impl SessionBackend + ?Sized),
    query: Option<&str>,
) -> Result<MessagesAnswer, Refusal> {
    let (mut before, mut last) = (None, limit::MESSAGES_PER_ANSWER);
    for (name, value) in parameters(query)? {
        let number = || {
            value.parse::<u64>().map_err(|_| {
                Refusal::request(format!("the parameter {name} is no number: {value:?}"))
            })
        };
        match name.as_str() {
            "before" => before = Some(number()?),
            "last" => last = u32::try_from(number()?).unwrap_or(u32::MAX).min(last),
            _ => return Err(unknown(&name, "last and before")),
        }
    }
    backend.session_messages(before, last).await
}

/// Handles `POST` to the history.
pub(super) async fn append(
    backend: &(impl SessionBackend + ?Sized),
    AppendMessages { messages }: AppendMessages,
) -> Result<AppendMessagesAnswer, Refusal> {
    let (count, most) = (messages.len(), limit::MESSAGES_PER_APPEND);
    if !(1..=most).contains(&count) {
        return Err(Refusal::request(format!(
            "one call appends 1 to {most} messages, not {count}"
        )));
    }
    let messages = messages.into_iter().map(message).collect::<Result<Vec<_>, _>>()?;
    backend.append_messages(messages).await?;
    Ok(AppendMessagesAnswer { appended: u64::try_from(count).unwrap_or(u64::MAX) })
}

fn message(NewMessage { role, content, encoding }: NewMessage) -> Result<SessionMessage, Refusal> {
    let is_word = role.starts_with(|first: char| first.is_ascii_lowercase())
        && role.len() <= limit::MESSAGE_ROLE_BYTES
        && role.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if !is_word {
        let most = limit::MESSAGE_ROLE_BYTES;
        return Err(Refusal::request(format!("{role:?} cannot be the role of a message")).with_hint(
            format!("user, assistant, system, tool, or a word of your own: a-z, 0-9, _ and -, at most {most}"),
        ));
    }
    let content = bounded(content, encoding, ("message", limit::MESSAGE_BYTES))?;
    Ok(SessionMessage { role, content })
}

/// Converts a value for storage, unless it is too long.
fn bounded(
    value: Value,
    encoding: ValueEncoding,
    (what, most): (&str, usize),
) -> Result<Payload, Refusal> {
    let length = canonical::to_string(&value).len();
    if length > most {
        let message = format!("a {what} has at most {most} bytes, not {length}");
        return Err(Refusal::request(message)
            .with_hint("keep large data as an artifact, and its address in the session"));
    }
    value::payload(value, encoding)
}

/// Handles `GET` of a tool's result, with the URL's query.
pub(super) async fn result(
    backend: &(impl SessionBackend + ?Sized),
    tool: &str,
    query: Option<&str>,
) -> Result<ResultAnswer, Refusal> {
    check_tool(tool)?;
    let (mut input, mut key) = (Value::Null, None);
    for (name, value) in parameters(query)? {
        match name.as_str() {
            "input" => {
                input = serde_json::from_str(&value).map_err(|error| {
                    Refusal::request(format!("the parameter input is not JSON: {error}"))
                })?;
            }
            "key" => key = Some(value),
            _ => return Err(unknown(&name, "input and key")),
        }
    }
    let key = key_of(&input, key)?;
    Ok(match backend.session_result(tool, &key).await? {
        None => ResultAnswer::Miss { key: key.to_string() },
        Some(kept) => {
            let (result, encoding) = value::unpacked(kept.result)?;
            ResultAnswer::Hit {
                key: key.to_string(),
                result,
                encoding,
                run_id: kept.run_id.to_string(),
                expires_at_ms: kept.expires_at.map(Timestamp::as_millis),
            }
        }
    })
}

/// Handles `PUT` of a tool's result.
pub(super) async fn keep(
    backend: &(impl SessionBackend + ?Sized),
    tool: &str,
    kept: KeepResult,
) -> Result<KeepResultAnswer, Refusal> {
    check_tool(tool)?;
    let KeepResult { input, key, result, encoding, ttl } = kept;
    let key = key_of(&input, key)?;
    let ttl = ttl.unwrap_or(limit::RESULT_TTL);
    if ttl.is_zero() || ttl > limit::RESULT_TTL_MOST {
        let most = limit::RESULT_TTL_MOST.as_millis();
        return Err(Refusal::request(format!("ttl_ms is 1 to {most}")));
    }
    let result = bounded(result, encoding, ("result", limit::RESULT_BYTES))?;
    let expires_at = backend.keep_session_result(tool, key.clone(), result, ttl).await?;
    Ok(KeepResultAnswer { key: key.to_string(), expires_at_ms: expires_at.as_millis() })
}

fn check_tool(tool: &str) -> Result<(), Refusal> {
    let is_name = !tool.is_empty()
        && tool.len() <= limit::TOOL_NAME_BYTES
        && !tool.chars().any(char::is_control);
    if is_name {
        return Ok(());
    }
    let most = limit::TOOL_NAME_BYTES;
    Err(Refusal::request(format!(
        "{tool:?} cannot be the name of a tool: 1 to {most} bytes without control characters"
    )))
}

/// Returns the key of a tool's input in the cache: the digest of its canonical JSON.
fn key_of(input: &Value, key: Option<String>) -> Result<Digest, Refusal> {
    match key {
        None => Ok(Digest::of(canonical::to_string(input).as_bytes())),
        Some(_) if !input.is_null() => Err(Refusal::request("input and key exclude each other")),
        Some(key) => key.try_into().map_err(|error| Refusal::request(format!("the key: {error}"))),
    }
}
