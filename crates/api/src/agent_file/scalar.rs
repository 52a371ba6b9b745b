//! Values that people write in a way of their own: their schemas, and how each is read.
//!
//! A field of the definition names one of these types in `#[schemars(with = "…")]`. What is read is
//! the value as the definition has it: milliseconds, bytes, millionths.

use std::borrow::Cow;
use std::collections::BTreeMap;

use errand_model::{CronExpr, time_zone, time_zone_names};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::at::At;
use super::http::{MalformedAddress, MalformedHost, parse_address, parse_host, parse_method};
use super::pointer::member_pointer;
use super::quantity::{cpu_millis, memory_bytes, micro_usd};
use super::reader::Reader;
use super::references::{
    config, dependency_name, dispatcher, model_route, needed_service, policy_name, skill, tier,
};
use super::retry_on::retry_on;
use super::sampling::sampling;
use super::shape::ReadNamed;
use super::suggest::closest;
use super::yaml::Kind;
use super::{json_schema as schema_of_json, names, rule};
use crate::error_code::ErrorCode;

/// Defines types that are read in a way of their own, and the function that finds it by their names.
macro_rules! scalars {
    ($($(#[doc = $doc:literal])* $name:ident as $published:literal = $schema:tt, $read:expr;)*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    $published.into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    let mut schema = json_schema!($schema);
                    let description = [$($doc.trim()),*].join("\n");
                    schema.insert("description".to_owned(), description.into());
                    schema
                }
            }
        )*

        /// The function that reads the type of that name in the schema.
        pub(crate) fn reader_of(name: &str) -> Option<ReadNamed> {
            Some(match name {
                $($published => |_, reader, at, _| $read(reader, at).map(Value::from),)*
                _ => return None,
            })
        }
    };
}

pub(crate) use scalars;

scalars! {
    /// A whole number and a unit: `500ms`, `30s`, `10m`, `1h30m`, `2d`.
    DurationText as "Duration" = {
        "type": "string",
        "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        "examples": ["500ms", "30s", "10m", "1h30m"]
    }, Reader::duration_ms;
    /// A whole number and a unit: `500ms`, `30s`, `10m`, `1h30m`, `2d`.
    DurationWord as "DurationWord" = {
        "type": "string",
        "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        "examples": ["500ms", "30s", "10m"]
    }, duration_word;
    /// A duration that may be zero.
    DelayText as "Delay" = {
        "type": "string",
        "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        "examples": ["0s", "500ms", "30s", "10m"]
    }, Reader::delay_ms;
    /// A whole number and a unit: Ki, Mi, Gi, Ti (binary) or k, M, G, T (decimal).
    MemoryText as "Memory" = {
        "type": "string",
        "pattern": "^[0-9]+(Ki|Mi|Gi|Ti|k|K|M|G|T|B)$",
        "examples": ["512Mi", "2Gi"]
    }, memory_bytes;
    /// Cores, or thousandths of one: 2, 0.5, 500m.
    CpuText as "Cpu" = {
        "type": ["string", "number"],
        "pattern": "^([0-9]*\\.?[0-9]*|[0-9]+m)$",
        "exclusiveMinimum": 0,
        "examples": ["1", 0.5, "500m"]
    }, cpu_millis;
    /// US dollars, with at most six decimals.
    UsdAmount as "UsdAmount" = { "type": "number", "minimum": 0 }, micro_usd;
    /// A failure that another attempt may mend: an error code, `exit:<n>` for an exit code of the
    /// agent, `error:<code>` for an error code of its own.
    RetryOn as "RetryOn" = {
        "type": "string",
        "anyOf": [
            { "enum": ErrorCode::RETRYABLE.iter().map(|code| code.as_str()).collect::<Vec<_>>() },
            { "pattern": "^exit:0*([1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$" },
            { "pattern": "^error:[a-z][a-z0-9_]*$" }
        ],
        "examples": ["exit_nonzero", "exit:75", "error:rate_limited"]
    }, retry_on;
    /// A JSON Schema 2020-12.
    AnySchema as "AnySchema" = {
        "$ref": "https://json-schema.org/draft/2020-12/schema"
    }, schema_of_json::read;
    /// Lower-case letters, digits, `-` and `_`, a letter or digit first and last.
    AgentName as "AgentName" = {
        "type": "string",
        "maxLength": 63,
        "pattern": "^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
        "examples": ["my-agent"]
    }, agent_name;
    /// A semantic version.
    SemanticVersion as "SemanticVersion" = {
        "type": "string",
        "pattern": r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$",
        "examples": ["1.2.0"]
    }, version;
    /// Words by key: letters, digits, `-`, `_`, `.` and `/`, at most 63.
    Labels as "Labels" = {
        "type": "object",
        "additionalProperties": { "type": ["string", "number", "boolean"] }
    }, labels;
    /// Program and arguments; a number or a truth value is taken as it is written.
    CommandLine as "CommandLine" = {
        "type": "array",
        "minItems": 1,
        "items": { "type": ["string", "number", "boolean"] },
        "examples": [["python3", "main.py"], ["./run.sh"]]
    }, command;
    /// Variables by name. Names that begin with `ERRAND_` are reserved.
    Environment as "Environment" = {
        "type": "object",
        "propertyNames": { "pattern": "^(?!ERRAND_)[A-Za-z_][A-Za-z0-9_]*$" },
        "additionalProperties": { "type": ["string", "number", "boolean"] }
    }, environment;
    /// Upper-case letters, digits and `_`, no digit first.
    SecretName as "SecretName" = {
        "type": "string", "maxLength": 128, "pattern": "^[A-Z_][A-Z0-9_]*$"
    }, secret_name;
    /// Letters, digits, `-`, `_` and `.`, at most 128.
    Slug as "Slug" = { "type": "string" }, slug;
    /// A skill by name.
    SkillName as "SkillName" = { "type": "string" }, skill;
    /// A config by name.
    ConfigName as "ConfigName" = { "type": "string" }, config;
    /// The name of a tool, and nothing else about it.
    ToolName as "ToolName" = { "type": "string" }, tool_name;
    /// A policy of the catalog by name.
    PolicyName as "PolicyName" = {
        "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,127}$", "examples": ["no-mail"]
    }, policy_name;
    /// A pattern of names, in which a `*` stands for any characters; or one with conditions: patterns
    /// of values by their paths in the call.
    RuleItem as "RuleItem" = {
        "anyOf": [
            { "type": "string", "minLength": 1 },
            {
                "type": "object",
                "required": ["name"],
                "additionalProperties": false,
                "properties": {
                    "name": {
                        "description": "Pattern of names.", "type": "string", "minLength": 1
                    },
                    "when": {
                        "description": "Patterns of values by their paths in the call.",
                        "type": "object",
                        "additionalProperties": {
                            "anyOf": [
                                { "type": ["string", "number", "boolean"] },
                                { "type": "array", "items": { "type": ["string", "number", "boolean"] } }
                            ]
                        }
                    },
                    "reason": { "description": "Reason, for people.", "type": "string" }
                }
            }
        ],
        "examples": ["send_*"]
    }, rule::rule;
    /// A tier of the catalog by name.
    TierName as "TierName" = {
        "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,127}$", "examples": ["terminal"]
    }, tier;
    /// A JSON pointer to a member of a request, in which a segment `*` stands for every member or item.
    MemberPointer as "MemberPointer" = {
        "type": "string", "pattern": "^/", "examples": ["/messages/*/id"]
    }, member_pointer;
    /// `full`, `none`, `errors`, or a share of the calls.
    SamplingShare as "Sampling" = {
        "anyOf": [{ "enum": ["full", "none", "errors"] }, { "type": "number", "minimum": 0, "maximum": 1 }],
        "examples": ["full", 0.1]
    }, sampling;
    /// A model route of the catalog by name.
    ModelRouteName as "ModelRouteName" = {
        "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,127}$", "examples": ["cheap"]
    }, model_route;
    /// A dispatcher of the catalog by name, or `auto`.
    DispatcherName as "DispatcherName" = {
        "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,127}$", "examples": ["auto"]
    }, dispatcher;
    /// A service of the catalog by name, and nothing else about it.
    DependencyName as "DependencyName" = {
        "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,127}$", "examples": ["redis"]
    }, dependency_name;
    /// A service of the catalog by name.
    NeededService as "NeededService" = {
        "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,127}$", "examples": ["redis"]
    }, needed_service;
    /// A branch, tag or commit.
    GitRef as "GitRef" = { "type": "string", "examples": ["main"] }, git_ref;
    /// A repository to clone.
    CloneUrl as "CloneUrl" = {
        "type": "string", "examples": ["https://git.example/repository"]
    }, clone_url;
    /// An image of a registry: name, and tag or digest.
    ImageReference as "ImageReference" = {
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
        "pattern": "^(?!.*//)[A-Za-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?$",
        "examples": ["ghcr.io/org/agent:1.2"]
    }, image;
    /// A user by name or number, with or without a group.
    ContainerUser as "ContainerUser" = {
        "type": ["string", "integer"],
        "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$",
        "examples": ["1000", "agent:agent"]
    }, container_user;
    /// A path below the workspace, without `..`; `.` for the workspace itself.
    WorkspacePath as "WorkspacePath" = {
        "type": "string", "pattern": r"^(?!/)(?!(.*/)?\.\.(/|$)).", "examples": ["data"]
    }, workspace_path;
    /// A path in the container: it begins with `/`, and has no `..`.
    ContainerPath as "ContainerPath" = {
        "type": "string",
        "pattern": r"^/(?!\.errand)(?!\.(/|$))(?!(.*/)?\.\.(/|$))[^:]+$",
        "examples": ["/data"]
    }, container_path;
    /// A runtime by the name that the engine has for it.
    RuntimeName as "RuntimeName" = {
        "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$", "examples": ["runsc"]
    }, runtime_name;
    /// An address that begins with `https://` or `http://`.
    HttpUrl as "HttpUrl" = { "type": "string", "pattern": "^https?://." }, http_url;
    /// Five fields, six (seconds first) or seven (and the year last), `@yearly`, `@monthly`,
    /// `@weekly`, `@daily`, `@hourly`, or `@every <duration>`.
    CronLine as "CronLine" = {
        "type": "string",
        "minLength": 1,
        "maxLength": 256,
        "examples": ["0 */5 * * * *", "*/5 * * * *", "@hourly", "@every 30s"]
    }, cron_line;
    /// An IANA time zone.
    TimeZoneName as "TimeZoneName" = {
        "type": "string", "examples": ["UTC", "Europe/Berlin"]
    }, time_zone_name;
    /// An IP address or `localhost`, and a port.
    ListenAddress as "ListenAddress" = {
        "type": "string",
        "pattern": "^.+:[0-9]{1,5}$",
        "examples": ["127.0.0.1:8080", "127.0.0.1:0"]
    }, listen_address;
    /// A path of HTTP requests, without query and fragment.
    UrlPath as "UrlPath" = { "type": "string", "pattern": "^/[!-~]*$" }, url_path;
    /// An HTTP method in upper case.
    HttpMethod as "HttpMethod" = { "type": "string", "pattern": "^[A-Z-]{1,32}$" }, http_method;
    /// The name of a host, without port.
    HostName as "HostName" = { "type": "string", "pattern": "^[A-Za-z0-9.-]{1,253}$" }, host_name;
}

/// Names that errand itself sets.
const RESERVED_PREFIX: &str = "ERRAND_";

/// Longest label: enough for a URL, too short for a document.
const MAX_LABEL_CHARS: usize = 255;

const CRON_HINT: &str = "for example \"0 */5 * * * *\" (seconds first), \"*/5 * * * *\", @hourly \
                         or \"@every 30s\"";

const PLAIN_HINT: &str = "no spaces, and no dash at the beginning";

/// Reads a duration as it was written, so that a definition that is printed can be read again.
fn duration_word(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    reader.duration_ms(at)?;
    at.text().map(str::to_owned)
}

fn agent_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    reader.text_that(at, names::is_agent_name, "cannot be an agent's name", names::AGENT_HINT)
}

fn version(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let version = reader.word(at)?;
    if names::is_semantic_version(&version) {
        return Some(version);
    }
    let hint = "write three numbers, such as 1.2.0 or 1.2.0-rc.1";
    reader.report_hint(at, format!("{version:?} is not a semantic version"), hint);
    None
}

fn labels(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    let check = |key: &str| match names::is_label_key(key) {
        true => Ok(()),
        false => Err(format!(
            "{key:?} cannot be a label: letters, digits, '-', '_', '.', '/', at most 63"
        )),
    };
    let labels = reader.words_by_key(at, check, "write \"\" for an empty label");
    let long = labels.iter().find(|(_, value)| value.chars().count() > MAX_LABEL_CHARS);
    if let Some((key, _)) = long {
        let message = format!("the label {key:?} is longer than {MAX_LABEL_CHARS} characters");
        reader.report(at, message);
    }
    Some(by_key(labels))
}

fn by_key(words: BTreeMap<String, String>) -> Value {
    Value::Object(words.into_iter().map(|(key, word)| (key, Value::String(word))).collect())
}

fn command(reader: &mut Reader, at: &At<'_>) -> Option<Vec<String>> {
    if let Some(text) = at.text() {
        let hint = if text.contains(|c: char| "|&;<>$\"'`(".contains(c)) {
            "write command: [sh, -c, \"…\"] to have a shell read it".to_owned()
        } else {
            let words: Vec<&str> = text.split_whitespace().collect();
            format!("write command: [{}]", words.join(", "))
        };
        reader.report_hint(at, "the command is a list of program and arguments", hint);
        return None;
    }
    let items = reader.checked_list(at)?;
    if items.is_empty() {
        reader.report(at, "the command is empty");
    }
    let words: Vec<String> = items.iter().filter_map(|item| reader.word(item)).collect();
    let is_whole = words.len() == items.len();
    if is_whole && words.first().is_some_and(|program| program.trim().is_empty()) {
        reader.report(&items[0], "the program has no name");
    }
    Some(words)
}

/// Checks the name of a variable that an agent file sets.
pub(super) fn check_variable_name(name: &str) -> Result<(), String> {
    if !names::is_env_name(name) {
        return Err(format!("{name:?} cannot be the name of an environment variable"));
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(format!("{name} is reserved: errand sets what begins with ERRAND_"));
    }
    Ok(())
}

fn environment(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    let null_hint = "write \"\" for an empty value; `errand run --env NAME=…` passes on one of the \
                     caller's";
    Some(by_key(reader.words_by_key(at, check_variable_name, null_hint)))
}

pub(super) fn secret_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let hint = "upper-case letters, digits and '_', no digit first, such as GITHUB_TOKEN";
    let complaint = "cannot be the name of a secret";
    let name = reader.text_that(at, names::is_secret_name, complaint, hint)?;
    if name.starts_with(RESERVED_PREFIX) {
        reader.report(at, format!("{name} is reserved: errand sets what begins with ERRAND_"));
        return None;
    }
    Some(name)
}

fn slug(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    reader.text_that(at, names::is_slug, "cannot be a name", names::SLUG_HINT)
}

fn tool_name(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    slug(reader, at).map(|name| json!({ "name": name }))
}

fn git_ref(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let complaint = "cannot be a branch, tag or commit";
    reader.text_that(at, names::is_plain_argument, complaint, PLAIN_HINT)
}

fn clone_url(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    reader.text_that(at, names::is_plain_argument, "cannot be a URL to clone", PLAIN_HINT)
}

fn image(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let hint = "write a name, and a tag or digest if you like, such as ghcr.io/org/agent:1.2; no \
                https:// before it";
    reader.text_that(at, names::is_image, "is not the name of an image", hint)
}

fn container_user(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let user = match &at.node.kind {
        Kind::Text { text } => Some(text).filter(|text| names::is_container_user(text)),
        Kind::Number { text } => Some(text).filter(|it| it.bytes().all(|b| b.is_ascii_digit())),
        Kind::Null | Kind::Bool { .. } | Kind::List(_) | Kind::Map(_) => None,
    };
    if user.is_none() {
        let hint = "write a name or a number, such as 1000 or agent:agent";
        reader.report_hint(at, "that is not a user", hint);
    }
    user.cloned()
}

fn workspace_path(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let hint = "write a path below the workspace, such as data; nothing else can be mounted";
    reader.text_that(at, names::is_workspace_path, "is outside of the workspace", hint)
}

fn container_path(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let hint = "begin with '/', without '..', such as /data; /.errand is errand's own";
    reader.text_that(at, names::is_container_path, "cannot be mounted in a container", hint)
}

fn runtime_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    reader.text_that(at, names::is_slug, "cannot be a runtime", names::SLUG_HINT)
}

fn http_url(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    reader.text_that(at, names::is_http_url, "is not a URL", "begin with https:// or http://")
}

fn cron_line(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let line = reader.text(at)?;
    match CronExpr::parse(&line) {
        Ok(expr) => Some(expr.as_str().to_owned()),
        Err(error) => {
            reader.report_hint(at, error.to_string(), CRON_HINT);
            None
        }
    }
}

fn time_zone_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let name = reader.text(at)?;
    if time_zone(&name).is_some() {
        return Some(name);
    }
    let hint = match closest(&name, time_zone_names()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => "write an IANA name, such as UTC or Europe/Berlin".to_owned(),
    };
    reader.report_hint(at, format!("{name:?} is not a time zone"), hint);
    None
}

fn listen_address(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let text = reader.word(at)?;
    match parse_address(&text) {
        Ok(address) => Some(address.to_string()),
        Err(error) => {
            reader.report_hint(at, error.to_string(), MalformedAddress::HINT);
            None
        }
    }
}

fn url_path(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let hint = "begin with '/', without query, fragment or spaces, such as /hook";
    reader.text_that(at, names::is_url_path, "is not a path", hint)
}

fn http_method(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let text = reader.text(at)?;
    match parse_method(&text) {
        Ok(method) => Some(method),
        Err(error) => {
            let hint = match parse_method(&text.to_ascii_uppercase()) {
                Ok(method) => format!("write {method}"),
                Err(_) => "write a method such as POST".to_owned(),
            };
            reader.report_hint(at, error.to_string(), hint);
            None
        }
    }
}

fn host_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let text = reader.text(at)?;
    match parse_host(&text) {
        Ok(host) => Some(host),
        Err(error) => {
            reader.report_hint(at, error.to_string(), MalformedHost::HINT);
            None
        }
    }
}
