//! JSON values as YAML 1.2, which contains JSON. Strings are always quoted, so that none can be
//! read as another type; text of several lines is a literal block.

use serde_json::Value;

/// Returns a document with a final newline.
pub(crate) fn document(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

fn block(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                indent(text, depth);
                text.push_str(&key(name));
                text.push(':');
                nested(text, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(text, depth);
                text.push('-');
                nested(text, item, depth + 1);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            indent(text, depth);
            text.push_str(&value.to_string());
            text.push('\n');
        }
    }
}

fn nested(text: &mut String, value: &Value, depth: usize) {
    let is_block = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if is_block {
        text.push('\n');
        block(text, value, depth);
    } else if let Value::String(lines) = value
        && is_literal(lines)
    {
        literal(text, lines, depth);
    } else {
        text.push(' ');
        text.push_str(&value.to_string());
        text.push('\n');
    }
}

/// Returns true for text of several lines that a literal block reproduces.
fn is_literal(text: &str) -> bool {
    let is_plain = |c: char| {
        matches!(c, '\n' | '\t')
            || !(c.is_control() || "\u{85}\u{2028}\u{2029}\u{feff}".contains(c))
    };
    let is_blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    text.trim_end_matches('\n').contains('\n')
        && text.chars().all(is_plain)
        && !text.split('\n').any(is_blank)
}

/// Writes text of several lines below its key.
fn literal(text: &mut String, lines: &str, depth: usize) {
    let body = lines.trim_end_matches('\n');
    let chomping = match lines.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    text.push_str(" |");
    if lines.starts_with([' ', '\t', '\n']) {
        // Without it, the first line would decide how far all lines are indented.
        text.push('2');
    }
    text.push_str(chomping);
    text.push('\n');
    for line in body.split('\n') {
        if !line.is_empty() {
            indent(text, depth);
            text.push_str(line);
        }
        text.push('\n');
    }
    for _ in 1..lines.len() - body.len() {
        text.push('\n');
    }
}

fn indent(text: &mut String, depth: usize) {
    for _ in 0..depth {
        text.push_str("  ");
    }
}

/// Returns a key, plain if it cannot be misread.
fn key(name: &str) -> String {
    let is_plain = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&name.to_ascii_lowercase().as_str());
    if is_plain { name.to_owned() } else { Value::String(name.to_owned()).to_string() }
}
