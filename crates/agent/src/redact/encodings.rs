//! Encodings in which a secret may occur in output.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shortest encoding that is searched for: shorter ones would match innocent text.
const MIN_DERIVED_BYTES: usize = 8;
/// Shortest line of a multi-line secret that is masked separately.
const MIN_LINE_BYTES: usize = 12;
/// Length beyond which only the common encodings of a secret are derived: memory is bounded.
const MANY_FORMS_BYTES: usize = 16 * 1_024;

/// Forms of a secret.
#[derive(Debug, Default)]
pub(super) struct Forms {
    /// The value and its encodings, without duplicates.
    pub(super) whole: Vec<Vec<u8>>,
    /// Forms that do not show the value as text: pieces of them are masked too.
    pub(super) encoded: Vec<Vec<u8>>,
}

/// Returns `value` and its encodings.
pub(super) fn forms(value: &[u8]) -> Forms {
    let mut forms = vec![value.to_vec()];
    let trimmed = value.trim_ascii();
    if trimmed.len() >= super::MIN_SECRET_BYTES {
        forms.push(trimmed.to_vec());
    }
    let mut derived = Vec::new();
    base64(trimmed, &mut derived);
    let hex = errand_model::hex(trimmed);
    derived.push(hex.to_ascii_uppercase().into_bytes());
    derived.push(hex.into_bytes());
    derived.sort();
    derived.dedup();
    let encoded = derived.clone();
    if let Ok(text) = std::str::from_utf8(trimmed) {
        json(text, &mut derived);
    }
    literals(trimmed, &mut derived);
    percent(trimmed, value.len() <= MANY_FORMS_BYTES, &mut derived);
    derived.retain(|form| form.len() >= MIN_DERIVED_BYTES);
    forms.append(&mut derived);
    let lines = trimmed.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    forms.extend(
        lines
            .filter(|line| line.len() >= MIN_LINE_BYTES && !line.starts_with(b"-----"))
            .map(<[u8]>::to_vec),
    );
    forms.sort();
    forms.dedup();
    Forms { whole: forms, encoded }
}

/// Adds the base64 characters that depend on the secret alone, for each of its three positions in a
/// group of three bytes, in both alphabets.
fn base64(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    for before in 0..3_usize {
        let mut shifted = vec![0; before];
        shifted.extend_from_slice(value);
        let first = (before * 8).div_ceil(6);
        let end = shifted.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            if let Some(core) = encoded.as_bytes().get(first..end) {
                forms.push(core.to_vec());
            }
        }
    }
}

/// Adds the forms in a JSON string: with the fewest escapes, with escaped slashes, in ASCII, safe
/// for HTML, with every escape as a number, and a JSON string inside a JSON string.
fn json(text: &str, forms: &mut Vec<Vec<u8>>) {
    let quoted = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap_or_default();
        quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
    };
    let plain = quoted(text);
    let mut ascii = String::with_capacity(plain.len());
    for character in plain.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _written = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    let html = numbered(&plain, |character| matches!(character, '<' | '>' | '&'));
    let html_ascii = numbered(&ascii, |character| matches!(character, '<' | '>' | '&'));
    let long = plain.replace("\\b", "\\u0008").replace("\\f", "\\u000c");
    let nested = quoted(&plain);
    let upper = upper_digits(&ascii);
    for form in [plain, ascii, html, html_ascii, long, nested, upper] {
        if form.contains('/') {
            forms.push(form.replace('/', "\\/").into_bytes());
        }
        if form != text {
            forms.push(form.into_bytes());
        }
    }
}

/// Escapes the characters that `is_escaped` selects as `\\uXXXX`.
fn numbered(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_escaped(character) {
            // Writing to a string cannot fail.
            let _written = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// Converts the digits of every `\\uXXXX` to upper case.
fn upper_digits(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("\\u");
        let digits = part.get(..4).unwrap_or_default();
        out.push_str(&digits.to_ascii_uppercase());
        out.push_str(part.get(digits.len()..).unwrap_or_default());
    }
    out
}

/// Adds the forms of byte literals in programming languages: `\\x1b` for unprintable bytes, with
/// and without escaped quotes, with bytes beyond ASCII escaped or not.
fn literals(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    for quote in [None, Some(b'\''), Some(b'"')] {
        for keeps_text in [false, true] {
            let mut form = Vec::with_capacity(value.len());
            for byte in value {
                match byte {
                    b'\n' => form.extend(b"\\n"),
                    b'\r' => form.extend(b"\\r"),
                    b'\t' => form.extend(b"\\t"),
                    b'\\' => form.extend(b"\\\\"),
                    byte if Some(*byte) == quote => form.extend([b'\\', *byte]),
                    b' '..=b'~' => form.push(*byte),
                    0x80.. if keeps_text => form.push(*byte),
                    byte => form.extend(format!("\\x{byte:02x}").into_bytes()),
                }
            }
            if form != value {
                forms.push(form);
            }
        }
    }
}

/// Adds the forms in a URL: all but the unreserved characters encoded, or only those that
/// `encodeURIComponent` encodes, or only those that a path needs; digits in both cases; and the
/// form encoding.
fn percent(value: &[u8], in_all_ways: bool, forms: &mut Vec<Vec<u8>>) {
    /// Characters kept besides letters and digits. Python keeps the slash.
    const KEPT: [&str; 5] = ["-._~", "-._~!'()*", "-._~/", "-._*", "-._~!'()*/:@$&+,;="];
    const DIGITS: [&[u8; 16]; 2] = [b"0123456789ABCDEF", b"0123456789abcdef"];

    let (kept, cases) =
        if in_all_ways { (&KEPT[..], &DIGITS[..]) } else { (&KEPT[..1], &DIGITS[..1]) };
    for keep in kept {
        for digits in cases {
            let mut form = Vec::with_capacity(value.len());
            for byte in value {
                if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(byte) {
                    form.push(*byte);
                } else {
                    let (high, low) = (byte >> 4, byte & 15);
                    form.extend([b'%', digits[usize::from(high)], digits[usize::from(low)]]);
                }
            }
            if value.contains(&b' ') {
                let text = String::from_utf8_lossy(&form).replace("%20", "+");
                forms.push(text.into_bytes());
            }
            forms.push(form);
        }
    }
}
