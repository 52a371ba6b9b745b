//! Outputs too large to be held in memory as a document: they are copied from one file to another,
//! a piece at a time.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};

use errand_agent::redact::Redactor;
use errand_model::{Blob, Encoding, Payload};
use errand_store::Blobs;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::Error;
use crate::error::IoFailure;

/// Longest document that is held in memory as a whole, and stored in canonical form.
pub(crate) const DOCUMENT_MEMORY_BYTES: u64 = 1024 * 1024;
/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Kind of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A JSON document without secrets.
    Json,
    /// A JSON document with secrets in its strings: masking them needs the whole document in
    /// memory.
    Secret,
    /// No JSON document.
    Other,
}

/// Returns the kind of the file's content, reading it once from its beginning.
///
/// # Errors
///
/// If the file cannot be read.
pub(crate) fn content(mut file: &File, redactor: &Redactor) -> std::io::Result<Content> {
    file.rewind()?;
    let mut document = serde_json::Deserializer::from_reader(BufReader::new(file));
    match (Clear { redactor }).deserialize(&mut document).and_then(|()| document.end()) {
        Ok(()) => Ok(Content::Json),
        Err(error) if error.is_io() => Err(error.into()),
        Err(error) if error.to_string().starts_with(SECRET) => Ok(Content::Secret),
        Err(_) => Ok(Content::Other),
    }
}

/// Stores the file's content unchanged, at most `limit_bytes` of it.
///
/// # Errors
///
/// If the file cannot be read, or the blob store cannot be written.
pub(crate) fn keep(
    blobs: &Blobs,
    mut file: &File,
    limit_bytes: u64,
    encoding: Encoding,
) -> Result<Payload, Error> {
    file.rewind().map_err(IoFailure::of("read", "the output"))?;
    let (digest, size_bytes) = blobs.put_stream(file.take(limit_bytes))?;
    Ok(Payload::Blob(Blob { digest, size_bytes, encoding }))
}

/// Returns the encoding of the file's content, reading it once from its beginning.
///
/// # Errors
///
/// If the file cannot be read.
pub(crate) fn encoding(mut file: &File) -> std::io::Result<Encoding> {
    file.rewind()?;
    let mut bytes = Vec::with_capacity(PIECE_BYTES);
    loop {
        let piece = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
        if file.take(piece).read_to_end(&mut bytes)? == 0 {
            return Ok(if bytes.is_empty() { Encoding::Text } else { Encoding::Binary });
        }
        match std::str::from_utf8(&bytes) {
            Ok(_) => bytes.clear(),
            // The rest of this character is in the next piece.
            Err(error) if error.error_len().is_none() => {
                bytes.drain(..error.valid_up_to());
            }
            Err(_) => return Ok(Encoding::Binary),
        }
    }
}

/// Prefix of the error that reports a secret.
const SECRET: &str = "a secret";

/// A visitor that discards the document, and stops at the first secret.
#[derive(Clone, Copy)]
struct Clear<'a> {
    redactor: &'a Redactor,
}

impl Clear<'_> {
    fn text<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        match self.redactor.redact(text) {
            std::borrow::Cow::Borrowed(_) => Ok(()),
            std::borrow::Cow::Owned(_) => Err(E::custom(SECRET)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Clear<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Clear<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON document")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.text(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.text(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        self.text(&number.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key_seed(self)?.is_some() {
            members.next_value_seed(self).map_err(|error| {
                if error.to_string().starts_with(SECRET) { A::Error::custom(SECRET) } else { error }
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn content_of_a_file_is_json_secret_or_other() {
        let redactor = Redactor::new([("KEY", b"correct-horse".as_slice())]);
        for (text, expect) in [
            ("{\"a\": [1, 2.5, null, true, \"x\"]}\n", Content::Json),
            ("\"text\"", Content::Json),
            ("1\n2\n", Content::Other),
            ("", Content::Other),
            ("[1, 2", Content::Other),
            ("{\"a\": [\"my correct-horse\"]}", Content::Secret),
            ("{\"correct-horse\": 1}", Content::Secret),
            ("[\"\\u0063orrect-horse\"]", Content::Secret),
        ] {
            assert_eq!(content(&file(text.as_bytes()), &redactor).unwrap(), expect, "{text}");
        }
    }

    #[test]
    fn text_is_recognised_wherever_a_piece_cuts_a_character() {
        let text = "ä".repeat(PIECE_BYTES);
        for start in 0..2 {
            let text = format!("{}{text}", "x".repeat(start));
            assert_eq!(encoding(&file(text.as_bytes())).unwrap(), Encoding::Text);
            assert_eq!(encoding(&file(&text.as_bytes()[..text.len() - 1])).unwrap(), {
                Encoding::Binary
            });
        }
        assert_eq!(encoding(&file(b"a\xffb")).unwrap(), Encoding::Binary);
    }
}
