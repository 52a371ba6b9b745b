//! Text that PostgreSQL can keep: any but the character NUL; and in an index none that is too long.

use std::borrow::Cow;
use std::collections::BTreeMap;

use errand_model::Digest;

use super::failure::Failure;
use super::row::json;

/// No longer text is in an index, whose rows are bounded to 2,704 bytes: four of them fit.
const KEY_LIMIT_BYTES: usize = 600;
/// What is left of a longer one, before its digest.
const KEY_BEGINNING_BYTES: usize = 560;
/// Characters of the digest: enough that no two are the same by accident.
const DIGEST_CHARACTERS: usize = 32;

/// The text with another character in the place of each NUL: what reads it knows that something was
/// there. The journal, which is JSON, has it as it was.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A name or key as it is kept and looked up: [`plain`], and cut where it is longer than an index
/// takes. The digest of the whole tells two of the same beginning apart.
pub(super) fn indexed(text: &str) -> Cow<'_, str> {
    if text.len() <= KEY_LIMIT_BYTES {
        return plain(text);
    }
    let digest = Digest::of(text.as_bytes());
    let digest: String = digest.hex().chars().take(DIGEST_CHARACTERS).collect();
    let beginning = text.char_indices().take_while(|(at, _)| *at < KEY_BEGINNING_BYTES);
    let beginning: String = beginning.map(|(_, character)| character).collect();
    Cow::Owned(format!("{}…{digest}", plain(&beginning)))
}

/// Labels as a JSON object that PostgreSQL can look into; `None` if there are none.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> Result<Option<String>, Failure> {
    if labels.is_empty() {
        return Ok(None);
    }
    let labels: BTreeMap<_, _> =
        labels.iter().map(|(name, value)| (plain(name), plain(value))).collect();
    json(&labels).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_still_its_own() {
        let (one, other) = ("é".repeat(301), format!("{}e", "é".repeat(300)));
        let (cut, cut_other) = (indexed(&one), indexed(&other));
        assert!(cut.len() <= KEY_LIMIT_BYTES, "{}", cut.len());
        assert_ne!(cut, cut_other);
        assert_eq!(indexed(&cut), cut, "what is listed is found");
        assert_eq!(indexed("a\0b"), "a\u{fffd}b");
        let short = "a".repeat(KEY_LIMIT_BYTES);
        assert_eq!(indexed(&short), short);
    }
}
