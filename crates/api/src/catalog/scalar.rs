//! Values of manifests that people write in a way of their own: their schemas, and how each is read.
//!
//! A value that has a unit is kept as it was written, so that a manifest that is printed can be read
//! again.

use std::borrow::Cow;

use errand_model::catalog::CatalogKind;
use errand_model::price::Origin;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::agent_file::at::{At, describe, field_of};
use crate::agent_file::names::is_definition_name;
use crate::agent_file::quantity::{cpu_millis, memory_bytes};
use crate::agent_file::reader::Reader;
use crate::agent_file::scalar::scalars;
use crate::agent_file::shape::ReadNamed;
use crate::agent_file::yaml::Kind;
use crate::agent_file::{FileReference, names};
use crate::price_table;

scalars! {
    /// Lower-case letters, digits, `-`, `_` and `.`, a letter or digit first, at most 128.
    CatalogName as "CatalogName" = {
        "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,127}$", "examples": ["code-review"]
    }, catalog_name;
    /// A service of the catalog by name.
    ServiceName as "ServiceName" = {
        "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,127}$", "examples": ["redis"]
    }, service_name;
    /// Files by path: text, or a mapping with `text` or `base64`, and `executable`.
    SkillFiles as "SkillFiles" = {
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                        "text": { "type": "string" },
                        "base64": { "type": "string" },
                        "executable": { "type": "boolean" }
                    }
                }
            ]
        }
    }, skill_files;
    /// Variables by name: a value, or `{secret: NAME}`. Names that begin with `ERRAND_` are reserved.
    ServiceEnvironment as "ServiceEnvironment" = {
        "type": "object",
        "propertyNames": { "pattern": "^(?!ERRAND_)[A-Za-z_][A-Za-z0-9_]*$" },
        "additionalProperties": {
            "anyOf": [
                { "type": ["string", "number", "boolean"] },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["secret"],
                    "properties": {
                        "secret": { "type": "string", "pattern": "^[A-Z_][A-Z0-9_]*$" }
                    }
                }
            ]
        }
    }, service_environment;
    /// A whole number and a unit: Ki, Mi, Gi, Ti (binary) or k, M, G, T (decimal).
    MemoryWord as "MemoryWord" = {
        "type": "string", "pattern": "^[0-9]+(Ki|Mi|Gi|Ti|k|K|M|G|T|B)$", "examples": ["2Gi"]
    }, memory_word;
    /// Cores, or thousandths of one: 2, 0.5, 500m.
    CpuWord as "CpuWord" = {
        "type": ["string", "number"], "pattern": "^([0-9]*\\.?[0-9]*|[0-9]+m)$", "examples": ["1"]
    }, cpu_word;
    /// A media type, such as `text/markdown`.
    MediaType as "MediaType" = {
        "type": "string", "pattern": "^[!-.0-~]+/[!-~]+( *;.*)?$", "examples": ["text/markdown"]
    }, media_type;
    /// A URL of any scheme, without user and password.
    ServiceUrl as "ServiceUrl" = {
        "type": "string", "pattern": "^[a-z][a-z0-9+.-]*://.", "examples": ["redis://redis:6379"]
    }, service_url;
    /// A URL that begins with `https://` or `http://`, or a path that begins with `/`.
    CheckAddress as "CheckAddress" = {
        "type": "string", "pattern": "^(https?://.|/)", "examples": ["/health"]
    }, check_address;
    /// A Redis server: `redis://` or `rediss://`, without user and password.
    BusUrl as "BusUrl" = {
        "type": "string", "pattern": "^rediss?://.", "examples": ["redis://redis:6379"]
    }, bus_url;
    /// The price of a model: US dollars for a million tokens, a date and a source.
    PriceEntry as "PriceEntry" = {
        "type": "object",
        "required": ["model", "input", "output", "date", "source"],
        "properties": {
            "provider": { "type": "string" },
            "model": { "type": "string" },
            "input": { "type": "number" },
            "cached_input": { "type": "number" },
            "cache_write": { "type": "number" },
            "cache_write_long": { "type": "number" },
            "output": { "type": "number" },
            "above": { "type": "array", "items": { "type": "object" } },
            "batch": { "type": "number" },
            "flex": { "type": "number" },
            "fast": { "type": "number" },
            "regional": { "type": "number" },
            "date": { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" },
            "source": { "type": "string", "minLength": 1 }
        },
        "additionalProperties": false
    }, price_entry;
    /// A queue of SQS: `sqs://host/account/queue`.
    BusQueue as "BusQueue" = {
        "type": "string", "pattern": "^sqs://[^/]+/[^/]+/[^/]+$",
        "examples": ["sqs://sqs.eu-central-1.amazonaws.com/123456789012/tasks"]
    }, bus_queue;
}

/// Longest path of a file of a skill.
const PATH_LIMIT_BYTES: usize = 255;

const NAME_HINT: &str = "lower-case letters, digits, '-', '_' and '.', a letter or digit first, at \
                         most 128";

fn catalog_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let name = reader.text(at)?;
    if is_definition_name(&name) {
        return Some(name);
    }
    let lower = name.to_ascii_lowercase();
    let hint = if is_definition_name(&lower) {
        format!("write {lower}: {NAME_HINT}")
    } else {
        NAME_HINT.to_owned()
    };
    reader.report_hint(at, format!("{name:?} cannot be the name of a definition"), hint);
    None
}

fn service_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let name = catalog_name(reader, at)?;
    reader.refers_to(at, FileReference::Definition(CatalogKind::Service, name.clone()));
    Some(name)
}

fn skill_files(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    let mut files = Map::new();
    for entry in reader.entries(at)? {
        let field = field_of(at, entry);
        if !is_inner_path(&entry.key) {
            let message = format!("{:?} cannot be the path of a file of a skill", entry.key);
            let hint = "write a relative path below the skill's folder, without . and ..";
            reader.report_at(entry.key_place, &field.path, message, Some(hint.to_owned()));
            continue;
        }
        if let Some(file) = skill_file(reader, &field) {
            files.insert(entry.key.clone(), file);
        }
    }
    Some(Value::Object(files))
}

/// Reports whether `text` names a file below a folder. The instructions have a place of their own.
fn is_inner_path(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= PATH_LIMIT_BYTES
        && text != super::SKILL_FILE_NAME
        && !text.contains(|c: char| c.is_control() || c == '\\')
        && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

fn skill_file(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    match &at.node.kind {
        Kind::Text { text } if !text.contains('\0') => Some(Value::String(text.clone())),
        Kind::Map(_) => {
            let object = reader.object(at, &["text", "base64", "executable"])?;
            let (text, base64) = (object.get("text"), object.get("base64"));
            if text.is_some() == base64.is_some() {
                reader.report_hint(at, "a file has one of text and base64", "remove one of them");
                return None;
            }
            let content = text.as_ref().or(base64.as_ref())?;
            let Some(given) = content.text() else {
                reader.report(
                    content,
                    format!("expected text, found {}", describe(&content.node.kind)),
                );
                return None;
            };
            if base64.is_some() && !is_base64(given) {
                reader.report(content, "this is not standard base64");
                return None;
            }
            let is_executable = match object.get("executable").map(|at| (at.node.kind.clone(), at))
            {
                None => false,
                Some((Kind::Bool { value, .. }, _)) => value,
                Some((_, at)) => {
                    reader.report(&at, "expected true or false");
                    return None;
                }
            };
            Some(match (base64.is_some(), is_executable) {
                (false, false) => Value::String(given.to_owned()),
                (false, true) => json!({ "text": given, "executable": true }),
                (true, false) => json!({ "base64": given }),
                (true, true) => json!({ "base64": given, "executable": true }),
            })
        }
        Kind::Null
        | Kind::Bool { .. }
        | Kind::Number { .. }
        | Kind::Text { .. }
        | Kind::List(_) => {
            let message = format!("expected the text of a file, found {}", describe(&at.node.kind));
            reader.report_hint(at, message, "write a text, or a mapping with base64");
            None
        }
    }
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

fn service_environment(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    let mut variables = Map::new();
    for entry in reader.entries(at)? {
        let field = field_of(at, entry);
        if !names::is_env_name(&entry.key) || entry.key.starts_with("ERRAND_") {
            let message = format!("{:?} cannot be the name of a variable here", entry.key);
            let hint = "letters, digits and '_', no digit first; ERRAND_ is reserved".to_owned();
            reader.report_at(entry.key_place, &field.path, message, Some(hint));
            continue;
        }
        let value = if field.is_map() {
            let hint = "write secret: NAME";
            let secret = reader.object(&field, &["secret"])?.require(reader, "secret", hint);
            secret.and_then(|at| secret_name(reader, &at)).map(|name| json!({ "secret": name }))
        } else {
            reader.word(&field).map(Value::String)
        };
        if let Some(value) = value {
            variables.insert(entry.key.clone(), value);
        }
    }
    Some(Value::Object(variables))
}

fn secret_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let hint = "upper-case letters, digits and '_', no digit first, such as GITHUB_TOKEN";
    reader.text_that(at, names::is_secret_name, "cannot be the name of a secret", hint)
}

fn memory_word(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    memory_bytes(reader, at)?;
    at.text().map(str::to_owned)
}

fn cpu_word(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    cpu_millis(reader, at)?;
    reader.word(at)
}

fn media_type(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let is_good = |text: &str| {
        let kind = text.split(';').next().unwrap_or_default().trim_end();
        let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
        kind.split_once('/').is_some_and(|(kind, sub)| is_part(kind) && is_part(sub))
    };
    let hint = "write a type and a subtype, such as text/markdown";
    reader.text_that(at, is_good, "is not a media type", hint)
}

fn service_url(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let is_url = |text: &str| {
        let Some((scheme, rest)) = text.split_once("://") else { return false };
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
        scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.chars().all(is_part)
            && !rest.is_empty()
            && names::is_plain_argument(text)
    };
    let hint = "write a scheme and a host, such as redis://host:6379";
    let url = reader.text_that(at, is_url, "is not a URL", hint)?;
    without_password(reader, at, url)
}

/// Refuses a password in the address: the catalog is no place for secrets.
fn without_password(reader: &mut Reader, at: &At<'_>, url: String) -> Option<String> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        let message = "a URL in the catalog has no user and password";
        let hint = "keep it as a secret, and give it to agents as env: { NAME: { secret: NAME } }";
        reader.report_hint(at, message, hint);
        return None;
    }
    Some(url)
}

fn check_address(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let is_good = |text: &str| {
        names::is_http_url(text) || (text.starts_with('/') && names::is_plain_argument(text))
    };
    let address = reader.text_that(at, is_good, "is not a URL or a path", "write /health")?;
    without_password(reader, at, address)
}

fn bus_url(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let is_good = |text: &str| {
        let host = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
        host.is_some_and(|host| !host.is_empty()) && names::is_plain_argument(text)
    };
    let url = reader.text_that(at, is_good, "is not a Redis URL", "write redis://host:6379")?;
    without_password(reader, at, url)
}

fn price_entry(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    price_table::price(reader, at, Origin::Catalog)?;
    reader.json(at)
}

fn bus_queue(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let is_good = |text: &str| {
        let rest = text.strip_prefix("sqs://").unwrap_or_default();
        let parts: Vec<&str> = rest.split('/').collect();
        parts.len() == 3
            && parts.iter().all(|part| !part.is_empty())
            && names::is_plain_argument(text)
    };
    let hint = "write sqs://host/account/queue";
    reader.text_that(at, is_good, "is not a queue of SQS", hint)
}
