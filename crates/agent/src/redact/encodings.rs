//! The forms in which a secret turns up in output.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Encodings shorter than this are no patterns: they would mask innocent text.
const MIN_DERIVED_BYTES: usize = 8;
/// A line of a secret that has several is masked on its own from this length on.
const MIN_LINE_BYTES: usize = 16;
/// From secrets longer than this only the common encodings are derived: memory is bounded.
const MANY_FORMS_BYTES: usize = 4_096;

/// `value` and its encodings, without duplicates, the value first.
pub(super) fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_vec()];
    let trimmed = value.trim_ascii();
    if trimmed.len() >= super::MIN_SECRET_BYTES {
        forms.push(trimmed.to_vec());
    }
    let mut derived = Vec::new();
    base64(trimmed, &mut derived);
    if let Ok(text) = std::str::from_utf8(trimmed) {
        json(text, &mut derived);
    }
    if value.len() <= MANY_FORMS_BYTES {
        percent(trimmed, &mut derived);
        let hex = errand_model::hex(trimmed);
        derived.push(hex.to_ascii_uppercase().into_bytes());
        derived.push(hex.into_bytes());
    }
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
    forms
}

/// The characters that depend on the secret alone, for each of its three positions in a group of
/// three bytes, in both alphabets.
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

/// As a JSON string shows it: with the least escapes, with escaped slashes, in pure ASCII.
fn json(text: &str, forms: &mut Vec<Vec<u8>>) {
    let Ok(quoted) = serde_json::to_string(text) else {
        return;
    };
    let plain = quoted[1..quoted.len() - 1].to_owned();
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
    for form in [plain, ascii] {
        if form.contains('/') {
            forms.push(form.replace('/', "\\/").into_bytes());
        }
        if form != text {
            forms.push(form.into_bytes());
        }
    }
}

/// As a URL shows it: all but the unreserved characters encoded, or only what
/// `encodeURIComponent` encodes, or only what a path needs; digits in both cases; as a form.
fn percent(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    for keep in ["-._~", "-._~!'()*", "-._~!'()*/:@$&+,;="] {
        for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
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
