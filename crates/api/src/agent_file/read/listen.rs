//! The listener.

use super::super::listen::{Listen, MalformedAddress, parse_address, parse_method};
use super::super::reader::{At, Reader};

const FIELDS: &[&str] =
    &["address", "path", "methods", "secret", "max_body_bytes", "max_header_bytes"];

/// No request has a smaller head than this.
const SMALLEST_MAX_HEADER_BYTES: u64 = 256;

pub(super) fn read(reader: &mut Reader, at: &At<'_>) -> Option<Listen> {
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
