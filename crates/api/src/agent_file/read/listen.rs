//! The listener.

use errand_model::event::Respond;

use super::super::listen::{
    Listen, MalformedAddress, MalformedHost, parse_address, parse_host, parse_method,
};
use super::super::reader::{At, Reader};
use super::super::yaml::Kind;

const FIELDS: &[&str] = &[
    "address",
    "path",
    "methods",
    "secret",
    "max_body_bytes",
    "max_header_bytes",
    "respond",
    "hosts",
];

const RESPOND: &[(&str, Respond)] = &[("at_end", Respond::AtEnd), ("at_once", Respond::AtOnce)];

/// More listeners on one agent are a mistake: each holds a port, and connections of its own.
const MAX_LISTENERS: usize = 16;

/// No request has a smaller head than this.
const SMALLEST_MAX_HEADER_BYTES: u64 = 256;

/// One listener, or a list of them.
pub(super) fn read(reader: &mut Reader, at: &At<'_>) -> Vec<Listen> {
    let Kind::List(_) = &at.node.kind else { return one(reader, at).into_iter().collect() };
    let items = reader.list(at);
    if items.len() > MAX_LISTENERS {
        reader.report(at, format!("there are more than {MAX_LISTENERS} listeners"));
        return Vec::new();
    }
    let mut listeners: Vec<Listen> = Vec::new();
    for item in items {
        let Some(listen) = one(reader, &item) else { continue };
        if listeners.iter().any(|other| other.address == listen.address) {
            let address = listen.address;
            reader.report_hint(
                &item,
                format!("{address} is listed twice"),
                "give each listener an address of its own",
            );
        } else {
            listeners.push(listen);
        }
    }
    listeners
}

fn one(reader: &mut Reader, at: &At<'_>) -> Option<Listen> {
    let fields = reader.object(at, FIELDS)?;
    let mut listen = Listen::default();
    if let Some(at) = fields.get("address") {
        listen.address = address(reader, &at).unwrap_or(listen.address);
    }
    if let Some(at) = fields.get("path") {
        listen.path = path(reader, &at);
    }
    if let Some(at) = fields.get("methods") {
        listen.methods = methods(reader, &at);
    }
    if let Some(at) = fields.get("secret") {
        listen.secret = reader.text(&at);
    }
    if let Some(at) = fields.get("max_body_bytes")
        && let Some(bytes) = reader.whole(&at, 0..=Listen::LARGEST_MAX_BODY_BYTES)
    {
        listen.max_body_bytes = bytes;
    }
    if let Some(at) = fields.get("max_header_bytes")
        && let Some(bytes) =
            reader.whole(&at, SMALLEST_MAX_HEADER_BYTES..=Listen::LARGEST_MAX_HEADER_BYTES)
    {
        listen.max_header_bytes = bytes;
    }
    if let Some(at) = fields.get("respond") {
        listen.respond =
            reader.choice(&at, "when a request is answered", RESPOND).unwrap_or_default();
    }
    if let Some(at) = fields.get("hosts") {
        listen.hosts = hosts(reader, &at);
    }
    if !listen.address.ip().is_loopback()
        && fields.get("secret").is_none()
        && let Some(at) = fields.get("address")
    {
        reader.report_hint(
            &at,
            "an address that other machines reach needs a secret",
            "add secret: WEBHOOK_SECRET (and list it in spec.secrets), or listen on 127.0.0.1",
        );
    }
    Some(listen)
}

fn address(reader: &mut Reader, at: &At<'_>) -> Option<std::net::SocketAddr> {
    let text = reader.word(at)?;
    match parse_address(&text) {
        Ok(address) => Some(address),
        Err(error) => {
            reader.report_hint(at, error.to_string(), MalformedAddress::HINT);
            None
        }
    }
}

fn hosts(reader: &mut Reader, at: &At<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for item in reader.list(at) {
        let Some(text) = reader.text(&item) else { continue };
        match parse_host(&text) {
            Ok(host) if hosts.contains(&host) => {
                reader.report(&item, format!("{host} is listed twice"));
            }
            Ok(host) => hosts.push(host),
            Err(error) => reader.report_hint(&item, error.to_string(), MalformedHost::HINT),
        }
    }
    hosts
}

fn path(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let path = reader.text(at)?;
    let is_path = path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    if is_path {
        return Some(path);
    }
    reader.report_hint(
        at,
        format!("{path:?} is not a path"),
        "begin with '/', without query, fragment or spaces, such as /hook",
    );
    None
}

fn methods(reader: &mut Reader, at: &At<'_>) -> Vec<String> {
    let mut methods = Vec::new();
    for item in reader.list(at) {
        let Some(text) = reader.text(&item) else { continue };
        match parse_method(&text) {
            Ok(method) if methods.contains(&method) => {
                reader.report(&item, format!("{method} is listed twice"));
            }
            Ok(method) => methods.push(method),
            Err(error) => {
                let upper = text.to_ascii_uppercase();
                let hint = match parse_method(&upper) {
                    Ok(method) => format!("write {method}"),
                    Err(_) => "write a method such as POST".to_owned(),
                };
                reader.report_hint(&item, error.to_string(), hint);
            }
        }
    }
    methods
}
