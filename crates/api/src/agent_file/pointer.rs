//! JSON pointers (RFC 6901) to members of requests.

use super::at::At;
use super::reader::Reader;

/// The most segments of a pointer. Requests are never nested as deep.
const MAX_SEGMENTS: usize = 64;

/// Reads a JSON pointer (RFC 6901), but for the empty one.
pub(super) fn member_pointer(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let complaint = "is not a JSON pointer";
    let hint = "write /metadata/session, or /messages/*/id for every item; ~1 is a /, ~0 a ~";
    reader.text_that(at, is_pointer, complaint, hint)
}

fn is_pointer(text: &str) -> bool {
    let is_escaped = |part: &str| part.starts_with(['0', '1']);
    text.starts_with('/')
        && text.split('/').count() <= MAX_SEGMENTS + 1
        && text.split('~').skip(1).all(is_escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_have_a_slash_first_and_known_escapes() {
        for (text, fits) in [
            ("/metadata", true),
            ("/messages/*/id", true),
            ("/a~1b/c~0", true),
            ("/", true),
            ("", false),
            ("metadata", false),
            ("/a~", false),
            ("/a~2", false),
        ] {
            assert_eq!(is_pointer(text), fits, "{text}");
        }
    }
}
