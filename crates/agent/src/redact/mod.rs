//! Masking of secrets in all written text.
//!
//! A secret is found in clear and in the encodings in which programs may print it. Overlapping
//! secrets are masked as one, so that no rest of a secret is left beside another.

mod encodings;
mod find;
mod fragments;
#[cfg(test)]
mod property;
mod stream;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use find::{Patterns, Written};
pub use stream::{HeldText, StreamRedactor};

/// Shortest value that is masked: shorter ones would occur in ordinary words.
pub const MIN_SECRET_BYTES: usize = 4;

/// Redactor of a run's secrets. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor {
    patterns: Arc<Patterns>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("patterns", &self.patterns.count()).finish()
    }
}

impl Redactor {
    /// Creates a redactor for secrets given as name and value; a value is masked as
    /// `[redacted:NAME]`.
    ///
    /// Values shorter than [`MIN_SECRET_BYTES`] are left out: they are refused where secrets are
    /// stored.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut patterns = Patterns::default();
        for (name, value) in secrets {
            if value.len() >= MIN_SECRET_BYTES {
                patterns.add(name, encodings::forms(value));
            }
        }
        patterns.build();
        Self { patterns: Arc::new(patterns) }
    }

    /// Returns `text` with every secret masked; borrowed if it has none.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.redact_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                // Masking a secret that is not UTF-8 may have split a character.
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
        }
    }

    /// Masks secrets like [`Redactor::redact`], in bytes.
    pub fn redact_bytes<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if !self.patterns.has_any(text) {
            return Cow::Borrowed(text);
        }
        let mut masked = Vec::with_capacity(text.len());
        self.patterns.mask(text, Written::default(), text.len(), &mut masked);
        Cow::Owned(masked)
    }

    /// Masks secrets like [`Redactor::redact`], in a text that may have been cut before: the end of
    /// a secret at its beginning, and the beginning of one at its end, are masked too.
    pub fn redact_excerpt<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let (begin, end) = self.patterns.torn(text.as_bytes());
        if begin.is_none() && end.is_none() {
            return self.redact(text);
        }
        let mut masked = Vec::with_capacity(text.len());
        self.patterns.mask_torn(text.as_bytes(), (begin, end), &mut masked);
        Cow::Owned(String::from_utf8_lossy(&masked).into_owned())
    }

    /// Masks secrets in all strings, keys and numbers of a JSON value.
    ///
    /// Keys that become equal get a number, so that nothing is lost.
    pub fn redact_json(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                if let Cow::Owned(masked) = self.redact(&number.to_string()) {
                    *value = Value::String(masked);
                }
            }
            Value::String(text) => {
                if let Cow::Owned(masked) = self.redact(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|field| self.redact_json(field));
                let keys: Vec<String> = fields
                    .keys()
                    .filter(|key| matches!(self.redact(key), Cow::Owned(_)))
                    .cloned()
                    .collect();
                for key in keys {
                    let Some(field) = fields.remove(&key) else {
                        continue;
                    };
                    let masked = self.redact(&key).into_owned();
                    let mut free = masked.clone();
                    let mut number = 2_u64;
                    while fields.contains_key(&free) {
                        free = format!("{masked}#{number}");
                        number += 1;
                    }
                    fields.insert(free, field);
                }
            }
        }
    }

    /// Starts to mask text that comes in parts.
    pub fn stream(&self) -> StreamRedactor {
        StreamRedactor::new(Arc::clone(&self.patterns))
    }

    /// Continues to mask text that came in parts, after what another redactor of the same secrets held.
    pub fn stream_after(&self, held: HeldText) -> StreamRedactor {
        StreamRedactor::continuing(Arc::clone(&self.patterns), held)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redactor() -> Redactor {
        Redactor::new([
            ("TOKEN", b"s3cr\"t/value+1".as_slice()),
            ("OTHER", b"value+1-and-more".as_slice()),
            ("PIN", b"4711471147".as_slice()),
            ("UMLAUT", "grün-und-blau".as_bytes()),
        ])
    }

    fn check(text: &str, expect: &str) {
        assert_eq!(redactor().redact(text), expect);
    }

    #[test]
    fn a_secret_is_masked_by_its_name() {
        check("a s3cr\"t/value+1 b", "a [redacted:TOKEN] b");
        check("s3cr\"t/value+1s3cr\"t/value+1", "[redacted:TOKEN][redacted:TOKEN]");
        check("nothing here", "nothing here");
    }

    #[test]
    fn encodings_of_a_secret_are_masked_too() {
        check(r#"{"x":"s3cr\"t/value+1"}"#, r#"{"x":"[redacted:TOKEN]"}"#);
        check(r#"{"x":"s3cr\"t\/value+1"}"#, r#"{"x":"[redacted:TOKEN]"}"#);
        check("q=s3cr%22t%2Fvalue%2B1&b", "q=[redacted:TOKEN]&b");
        check("q=s3cr%22t%2fvalue%2b1&b", "q=[redacted:TOKEN]&b");
        check(r#""gr\u00fcn-und-blau""#, r#""[redacted:UMLAUT]""#);
        check(&errand_model::hex(b"s3cr\"t/value+1"), "[redacted:TOKEN]");
    }

    #[test]
    fn base64_is_masked_at_any_offset_of_the_secret() {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        for lead in ["", "u", "us", "usr", "user:", "another:"] {
            for tail in ["", "x", "xy"] {
                let clear = format!("{lead}s3cr\"t/value+1{tail}");
                for text in [STANDARD.encode(&clear), URL_SAFE_NO_PAD.encode(&clear)] {
                    let masked = redactor().redact(&text).into_owned();
                    assert!(masked.contains("[redacted:TOKEN]"), "{clear}: {text} -> {masked}");
                }
            }
        }
    }

    #[test]
    fn overlapping_secrets_are_masked_as_one() {
        check("<s3cr\"t/value+1-and-more>", "<[redacted:TOKEN]>");
    }

    #[test]
    fn json_is_masked_in_strings_keys_and_numbers() {
        let mut value = json!({
            "list": ["x s3cr\"t/value+1", 4_711_471_147_u64, 5, null, true],
            "4711471147": 1,
            "[redacted:PIN]": 2,
        });
        redactor().redact_json(&mut value);
        assert_eq!(
            value,
            json!({
                "list": ["x [redacted:TOKEN]", "[redacted:PIN]", 5, null, true],
                "[redacted:PIN]": 2,
                "[redacted:PIN]#2": 1,
            })
        );
    }

    #[test]
    fn the_lines_of_a_key_are_masked_one_by_one() {
        let pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n";
        let redactor = Redactor::new([("PEM", pem.as_bytes())]);
        assert_eq!(redactor.redact(pem), "[redacted:PEM]");
        assert_eq!(redactor.redact(" | AQEFAASCBKcwggSjAgEAAoIB"), " | [redacted:PEM]");
        assert_eq!(redactor.redact("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
    }

    #[test]
    fn without_secrets_nothing_changes() {
        assert!(matches!(Redactor::default().redact("abc"), Cow::Borrowed("abc")));
        let mut out = Vec::new();
        let mut stream = Redactor::new([("SHORT", b"abc".as_slice())]).stream();
        stream.push(b"abc", &mut out);
        assert_eq!(out, b"abc");
    }

    #[test]
    fn a_redactor_never_shows_a_secret() {
        assert!(!format!("{:?} {:?}", redactor(), redactor().stream()).contains("s3cr"));
    }
}
