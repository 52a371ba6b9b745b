//! The file of `--mcp`: tool servers, as other programs write them or as the agent file has them.

use std::path::Path;

use errand_api::agent_file;
use errand_api::error_code::ErrorCode;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::failure::Failure;

/// Members of a server in the usual form that errand understands.
const KNOWN: [&str; 9] =
    ["type", "transport", "command", "args", "env", "url", "headers", "disabled", "description"];

/// Reads the servers of a file, as the agent file has them.
pub(super) fn servers(context: &Context, path: &Path) -> Result<Vec<Value>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
    let name = path.display().to_string();
    let file = parsed(path, &name, &bytes)?;
    let refuse = |message: String| {
        Failure::new(ErrorCode::ToolServerInvalid, format!("{name}: {message}")).hint(
            "write {\"mcpServers\": {NAME: {\"command\": …}}}, or mcp_servers: as in an agent file",
        )
    };
    let members = match file {
        Value::Object(members) => members,
        Value::Array(servers) => return Ok(servers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(refuse("it has no tool servers".to_owned()));
        }
    };
    let usual = ["mcpServers", "servers"].iter().find_map(|it| members.get(*it));
    match (usual, members.get("mcp_servers")) {
        (Some(Value::Object(servers)), None) => {
            let own = servers.iter().map(|(name, server)| usual_server(context, name, server));
            let own: Result<Vec<Option<Value>>, String> = own.collect();
            own.map(|own| own.into_iter().flatten().collect()).map_err(refuse)
        }
        (None, Some(Value::Array(servers))) => Ok(servers.clone()),
        (None, Some(Value::Object(servers))) => {
            servers.iter().map(|(name, server)| named(name, server).map_err(&refuse)).collect()
        }
        (Some(_), None) => Err(refuse("mcpServers is no object".to_owned())),
        (None, Some(_)) => Err(refuse("mcp_servers is no list".to_owned())),
        (Some(_), Some(_)) => Err(refuse("it has mcpServers and mcp_servers".to_owned())),
        (None, None) => Err(refuse("it has neither mcpServers nor mcp_servers".to_owned())),
    }
}

/// Returns the file as JSON. One that is called `.json` is read as JSON, so that its errors are about
/// JSON.
fn parsed(path: &Path, name: &str, bytes: &[u8]) -> Result<Value, Failure> {
    let refuse = |message: String| Failure::new(ErrorCode::ToolServerInvalid, message);
    if path.extension().is_some_and(|extension| extension == "json") {
        return serde_json::from_slice(bytes)
            .map_err(|error| refuse(format!("{name} is not JSON: {error}")));
    }
    agent_file::to_json(name, bytes).map_err(|problems| {
        refuse(format!("{name} cannot be read\n\n{}", problems.with_excerpts()))
    })
}

fn named(name: &str, server: &Value) -> Result<Value, String> {
    let Value::Object(members) = server else {
        return Err(format!("the server {name} is no mapping"));
    };
    let mut members = members.clone();
    members.insert("name".to_owned(), name.into());
    Ok(Value::Object(members))
}

/// Returns a server in the usual form as the agent file has it; `None` for one that is disabled.
fn usual_server(context: &Context, name: &str, server: &Value) -> Result<Option<Value>, String> {
    let Value::Object(members) = server else {
        return Err(format!("the server {name} is no object"));
    };
    if let Some(unknown) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        let known = KNOWN.join(", ");
        return Err(format!("the server {name} has the member {unknown:?}; known are {known}"));
    }
    if members.get("disabled") == Some(&Value::Bool(true)) {
        return Ok(None);
    }
    let kind = members.get("type").or_else(|| members.get("transport")).and_then(Value::as_str);
    let is_stdio = match kind {
        None => members.contains_key("command"),
        Some("stdio") => true,
        Some("http" | "streamable-http" | "streamable_http" | "streamableHttp") => false,
        Some("sse") => {
            return Err(format!(
                "the server {name} has the transport sse, which the protocol gave up for http"
            ));
        }
        Some(other) => {
            return Err(format!(
                "the server {name} has the transport {other:?}; known are stdio and http"
            ));
        }
    };
    let mut own = Map::from_iter([("name".to_owned(), json!(name))]);
    let others = if is_stdio { ["url", "headers"] } else { ["command", "args"] };
    if let Some(other) = others.iter().find(|other| members.contains_key(**other)) {
        return Err(format!("the server {name} has {other:?}, which its transport does not have"));
    }
    if is_stdio {
        own.insert("command".to_owned(), command(context, name, members)?);
    } else {
        own.insert("url".to_owned(), members.get("url").cloned().unwrap_or_default());
    }
    let values = if is_stdio { "env" } else { "headers" };
    if let Some(given) = members.get(values) {
        let Value::Object(given) = given else {
            return Err(format!("{values} of the server {name} is no object"));
        };
        let given = given.iter().map(|(key, value)| (key.clone(), with_secret(value)));
        own.insert(values.to_owned(), Value::Object(given.collect()));
    }
    Ok(Some(Value::Object(own)))
}

fn command(context: &Context, name: &str, members: &Map<String, Value>) -> Result<Value, String> {
    let program = members.get("command").and_then(Value::as_str).unwrap_or_default();
    if program.is_empty() {
        return Err(format!("the server {name} has no command"));
    }
    let program = match program.contains('/') {
        // A path is one of the caller's folder, not of the parcel.
        true => context.cwd.join(program).display().to_string(),
        false => program.to_owned(),
    };
    let arguments = match members.get("args") {
        None => &[],
        Some(Value::Array(arguments)) => arguments.as_slice(),
        Some(_) => return Err(format!("args of the server {name} is no list")),
    };
    Ok([json!(program)].iter().chain(arguments).cloned().collect())
}

/// Returns a value in which `${NAME}` at the end names a secret.
fn with_secret(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return value.clone() };
    let named = text.strip_suffix('}').and_then(|text| text.split_once("${"));
    let Some((prefix, name)) = named else { return value.clone() };
    let name = name.strip_prefix("env:").unwrap_or(name);
    if prefix.is_empty() {
        json!({ "secret": name })
    } else {
        json!({ "secret": name, "prefix": prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_in_a_value_names_a_secret() {
        assert_eq!(with_secret(&json!("${TOKEN}")), json!({ "secret": "TOKEN" }));
        assert_eq!(with_secret(&json!("${env:TOKEN}")), json!({ "secret": "TOKEN" }));
        let bearer = json!({ "secret": "TOKEN", "prefix": "Bearer " });
        assert_eq!(with_secret(&json!("Bearer ${TOKEN}")), bearer);
        assert_eq!(with_secret(&json!("plain")), json!("plain"));
    }
}
