//! Text that PostgreSQL can store: without NUL characters, and bounded in indexed columns.

use std::borrow::Cow;
use std::collections::BTreeMap;

use errand_model::Digest;

use super::failure::Failure;
use super::row::json;

/// Length limit of a text in an index, whose rows are bounded to 2,704 bytes: four texts fit.
const KEY_LIMIT_BYTES: usize = 600;
/// Length of the kept beginning of a longer text, before its digest.
const KEY_BEGINNING_BYTES: usize = 560;
/// Characters of the digest: enough to exclude accidental collisions.
const DIGEST_CHARACTERS: usize = 32;

/// Replaces each NUL by another character, so that readers see that there was one. The journal,
/// which is JSON, has the original text.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Returns a name or key as it is stored and looked up: [`plain`], and cut if it exceeds the
/// index's limit. The digest of the whole text distinguishes texts with the same beginning.
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

/// Serializes labels as a JSON object that PostgreSQL can query; `None` if there are none.
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
    fn cut_names_stay_distinct() {
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
