//! Canonical JSON (RFC 8785): one text for one value, so that a hash of it means something.
//!
//! A deliberate difference: whole numbers keep all their digits. RFC 8785 reads every number as
//! a double, so that 9007199254740993 and 9007199254740992 would be the same text, and a journal
//! could be changed without its hash noticing.

use serde_json::{Number, Value};

/// The canonical text of `value`.
pub fn to_string(value: &Value) -> String {
    let mut text = String::with_capacity(128);
    write(&mut text, value);
    text
}

fn write(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(text, number),
        Value::String(string) => write_string(text, string),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(text, item);
            }
            text.push(']');
        }
        Value::Object(fields) => write_object(text, fields),
    }
}

/// Members in the order of their names' UTF-16 code units (RFC 8785, 3.2.3).
fn write_object(text: &mut String, fields: &serde_json::Map<String, Value>) {
    let mut members: Vec<(&String, &Value)> = fields.iter().collect();
    if fields.keys().all(|name| name.is_ascii()) {
        members.sort_unstable_by(|a, b| a.0.cmp(b.0));
    } else {
        members.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
    }
    text.push('{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_string(text, name);
        text.push(':');
        write(text, value);
    }
    text.push('}');
}

fn write_number(text: &mut String, number: &Number) {
    if let Some(whole) = number.as_i64() {
        text.push_str(&whole.to_string());
    } else if let Some(whole) = number.as_u64() {
        text.push_str(&whole.to_string());
    } else if let Some(double) = number.as_f64() {
        text.push_str(ryu_js::Buffer::new().format_finite(double));
    }
}

/// A string with the escapes of RFC 8785, 3.2.2.2, and no others.
pub fn write_string(text: &mut String, string: &str) {
    text.push('"');
    let mut plain_from = 0;
    for (index, byte) in string.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            0x09 => "\\t",
            0x0a => "\\n",
            0x0c => "\\f",
            0x0d => "\\r",
            0x00..=0x1f => "",
            _ => continue,
        };
        text.push_str(&string[plain_from..index]);
        if escape.is_empty() {
            text.push_str("\\u00");
            text.push_str(&crate::hex(&[byte]));
        } else {
            text.push_str(escape);
        }
        plain_from = index + 1;
    }
    text.push_str(&string[plain_from..]);
    text.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_sorted_by_utf_16_and_numbers_keep_their_digits() {
        let value = json!({
            "\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7,
        });
        assert_eq!(
            to_string(&value),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
        assert_eq!(
            to_string(&json!([9_007_199_254_740_993_u64, 1e21, 0.1, -0.0, 1.0, u64::MAX])),
            "[9007199254740993,1e+21,0.1,0,1,18446744073709551615]"
        );
        assert_eq!(to_string(&json!("a\u{1}\n\"\\é")), "\"a\\u0001\\n\\\"\\\\é\"");
    }
}
