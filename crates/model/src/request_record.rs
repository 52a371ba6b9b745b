//! Recorded bodies of model requests: whole, or as the difference from an earlier body of the run.
//!
//! Each request of a conversation repeats what was said before. What a body shares with an earlier
//! one at its begin and at its end is recorded as two lengths, so a conversation of n turns takes
//! O(n) bytes of the journal.

use serde_json::{Map, Value};

use crate::Digest;

/// Shortest part shared with an earlier body that is worth a reference to it, in bytes.
const WORTH_SHARING_BYTES: usize = 512;

/// Member with the digest of the body.
const DIGEST: &str = "request_digest";
/// Member with the length of the body.
const SIZE: &str = "request_bytes";
/// Member with a body that is recorded as a whole.
const BODY: &str = "body";
/// Member with the digest of the earlier body.
const BASE: &str = "base";
/// Members with the lengths of what is shared at the begin and at the end.
const SHARED: [&str; 2] = ["shared_begin", "shared_end"];
/// Member with the text between the shared parts.
const MIDDLE: &str = "middle";

/// A body that was recorded earlier.
#[derive(Clone, Copy, Debug)]
pub struct EarlierBody<'a> {
    /// Digest of the body.
    pub digest: &'a Digest,
    /// The body.
    pub body: &'a str,
}

/// Writes a body into the data of an event, as briefly as the earlier bodies allow.
pub fn put<'a>(
    data: &mut Map<String, Value>,
    (digest, body): (&Digest, &str),
    earlier: impl Iterator<Item = EarlierBody<'a>>,
) {
    data.insert(DIGEST.to_owned(), digest.to_string().into());
    data.insert(SIZE.to_owned(), body.len().into());
    let shared = earlier.map(|base| (base, shared(base.body, body)));
    let best = shared.max_by_key(|(_, (begin, end))| begin + end);
    match best.filter(|(_, (begin, end))| begin + end >= WORTH_SHARING_BYTES) {
        Some((base, (begin, end))) => {
            data.insert(BASE.to_owned(), base.digest.to_string().into());
            data.insert(SHARED[0].to_owned(), begin.into());
            data.insert(SHARED[1].to_owned(), end.into());
            data.insert(MIDDLE.to_owned(), body[begin..body.len() - end].into());
        }
        None => drop(data.insert(BODY.to_owned(), body.into())),
    }
}

/// Member that says that the bodies of a call are not kept.
const KEPT: &str = "body_kept";

/// Writes the digest and the size of a body that is not kept.
pub fn put_digest(data: &mut Map<String, Value>, digest: &Digest, size_bytes: usize) {
    data.insert(DIGEST.to_owned(), digest.to_string().into());
    data.insert(SIZE.to_owned(), size_bytes.into());
    data.insert(KEPT.to_owned(), false.into());
}

/// Returns true if the data of an event says that the bodies of its call are not kept.
pub fn is_left_out(data: &Value) -> bool {
    data.get(KEPT) == Some(&Value::Bool(false))
}

/// Reads a body from the data of an event, whose moved members were put back. `earlier` returns an
/// earlier body by its digest. Also returns the digest; `None`: the event has no body, or its base
/// is not known.
pub fn read(
    data: &Value,
    earlier: impl FnOnce(&Digest) -> Option<String>,
) -> Option<(Digest, String)> {
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    let digest: Digest = text(DIGEST)?.parse().ok()?;
    if let Some(body) = text(BODY) {
        return Some((digest, body.to_owned()));
    }
    let base = earlier(&text(BASE)?.parse().ok()?)?;
    let [begin, end] = SHARED.map(|name| usize::try_from(data.get(name)?.as_u64()?).ok());
    let (begin, end) = (base.get(..begin?)?, base.get(base.len().checked_sub(end?)?..)?);
    Some((digest, [begin, text(MIDDLE)?, end].concat()))
}

/// Lengths of what two texts share at their begins and at their ends, at boundaries of characters.
fn shared(left: &str, right: &str) -> (usize, usize) {
    let same = |pair: &(&u8, &u8)| pair.0 == pair.1;
    let (one, two) = (left.as_bytes(), right.as_bytes());
    let mut begin = one.iter().zip(two).take_while(same).count();
    while !(left.is_char_boundary(begin) && right.is_char_boundary(begin)) {
        begin -= 1;
    }
    let (one, two) = (&one[begin..], &two[begin..]);
    let mut end = one.iter().rev().zip(two.iter().rev()).take_while(same).count();
    while !(left.is_char_boundary(left.len() - end) && right.is_char_boundary(right.len() - end)) {
        end -= 1;
    }
    (begin, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(turns: usize) -> String {
        let turn =
            |n| format!("{{\"role\":\"user\",\"content\":\"turn {n} {}é\"}}", "x".repeat(400));
        let turns: Vec<String> = (0..turns).map(turn).collect();
        format!("{{\"messages\":[{}],\"tools\":[\"{}\"]}}", turns.join(","), "t".repeat(300))
    }

    #[test]
    fn a_conversation_takes_as_many_bytes_as_its_last_request() {
        let mut known: Vec<(Digest, String)> = Vec::new();
        let (mut recorded, mut last) = (0, 0);
        for turns in 1..50 {
            let (text, mut data) = (body(turns), Map::new());
            let digest = Digest::of(text.as_bytes());
            let earlier =
                known.iter().rev().take(4).map(|(digest, body)| EarlierBody { digest, body });
            put(&mut data, (&digest, &text), earlier);
            let data = Value::Object(data);
            recorded += data.to_string().len();
            last = text.len();
            let find = |base: &Digest| {
                known.iter().find(|(digest, _)| digest == base).map(|(_, body)| body.clone())
            };
            assert_eq!(read(&data, find), Some((digest.clone(), text.clone())));
            known.push((digest, text));
        }
        assert!(recorded < last * 2, "{recorded} bytes for a last request of {last}");
    }

    #[test]
    fn parts_are_cut_between_characters() {
        let (one, two) = (format!("{}é", "a".repeat(600)), format!("{}è", "a".repeat(600)));
        let (left, right) = (Digest::of(one.as_bytes()), Digest::of(two.as_bytes()));
        let mut data = Map::new();
        let earlier = EarlierBody { digest: &left, body: &one };
        put(&mut data, (&right, &two), std::iter::once(earlier));
        let data = Value::Object(data);
        assert_eq!(data["middle"], "è");
        assert_eq!(read(&data, |_| Some(one.clone())), Some((right, two)));
        assert_eq!(read(&data, |_| None), None, "its base is not known");
        assert_eq!(read(&data, |_| Some(String::new())), None, "another base");
    }
}
