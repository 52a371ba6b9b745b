//! Difference between two requests, by member and by line.
//!
//! Bounded: few members, few lines of each, short lines. Both requests are masked before they come
//! here.

use std::fmt::Write as _;

use serde_json::Value;

use super::excerpt::{first_difference, shortened};

/// Members that are shown.
const SHOWN_MEMBERS: usize = 20;
/// Lines that are shown of each side of a member.
const SHOWN_LINES: usize = 12;
/// Equal lines that are shown before and after those that differ.
const LINES_AROUND: usize = 2;
/// Size from which on no further member is shown: a difference stays in its event.
const SHOWN_BYTES: usize = 12 * 1024;

/// A request in a form that can be compared: without the members that its digest leaves out.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedRequest {
    /// Method and path, or the kind of the call.
    pub head: String,
    /// Canonical body; a string, if it is no JSON.
    pub body: Value,
}

/// Difference between a recorded request and the one that a replay makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestDifference {
    /// JSON pointer to the first member that differs; `None`: the bodies are equal.
    pub path: Option<String>,
    /// Number of members that differ.
    pub members: usize,
    /// Both sides of each member, in the form of a unified diff.
    pub diff: String,
}

/// A member that differs; a side without it is `None`.
struct Member<'a> {
    path: String,
    recorded: Option<&'a Value>,
    replayed: Option<&'a Value>,
}

/// Members that differ, of which the first ones are kept.
#[derive(Default)]
struct Members<'a> {
    shown: Vec<Member<'a>>,
    count: usize,
}

impl RequestDifference {
    /// Compares two requests.
    pub fn of(recorded: &ComparedRequest, replayed: &ComparedRequest) -> Self {
        let mut members = Members::default();
        members.compare(String::new(), Some(&recorded.body), Some(&replayed.body));
        let mut diff =
            format!("--- recorded  {}\n+++ replayed  {}\n", recorded.head, replayed.head);
        let mut shown = 0;
        for member in &members.shown {
            if diff.len() > SHOWN_BYTES {
                break;
            }
            member.show(&mut diff);
            shown += 1;
        }
        match members.count - shown {
            0 => {}
            1 => diff.push_str("… and 1 member more\n"),
            more => writeln!(diff, "… and {more} members more").unwrap_or_default(),
        }
        if members.count == 0 && recorded.head == replayed.head {
            diff.push_str("  as recorded, they are equal: they differ in a masked value\n");
        }
        let path = members.shown.first().map(|member| member.path.clone());
        Self { path, members: members.count, diff }
    }
}

impl<'a> Members<'a> {
    fn compare(&mut self, path: String, recorded: Option<&'a Value>, replayed: Option<&'a Value>) {
        match (recorded, replayed) {
            (Some(left), Some(right)) if left == right => {}
            (Some(Value::Object(left)), Some(Value::Object(right))) => {
                let names: std::collections::BTreeSet<&String> =
                    left.keys().chain(right.keys()).collect();
                for name in names {
                    let escaped = name.replace('~', "~0").replace('/', "~1");
                    let path = format!("{path}/{escaped}");
                    self.compare(path, left.get(name), right.get(name));
                }
            }
            (Some(Value::Array(left)), Some(Value::Array(right))) => {
                self.compare_items(&path, left, right);
            }
            (recorded, replayed) => {
                self.count += 1;
                if self.shown.len() < SHOWN_MEMBERS {
                    self.shown.push(Member { path, recorded, replayed });
                }
            }
        }
    }

    /// Compares items one by one, without those that are equal at the begin and at the end.
    fn compare_items(&mut self, path: &str, left: &'a [Value], right: &'a [Value]) {
        let begin = left.iter().zip(right).take_while(|(left, right)| left == right).count();
        let (left, right) = (&left[begin..], &right[begin..]);
        let end = left.iter().rev().zip(right.iter().rev());
        let end = end.take_while(|(left, right)| left == right).count();
        let (left, right) = (&left[..left.len() - end], &right[..right.len() - end]);
        for place in 0..left.len().max(right.len()) {
            let path = format!("{path}/{}", begin + place);
            self.compare(path, left.get(place), right.get(place));
        }
    }
}

impl Member<'_> {
    /// Writes both sides of the member.
    fn show(&self, diff: &mut String) {
        let path = if self.path.is_empty() { "the whole body" } else { &self.path };
        writeln!(diff, "@@ {path} @@").unwrap_or_default();
        let (recorded, replayed) = (lines(self.recorded), lines(self.replayed));
        let same = |pair: &(&String, &String)| pair.0 == pair.1;
        let before = recorded.iter().zip(&replayed).take_while(same).count();
        let (left, right) = (&recorded[before..], &replayed[before..]);
        let after = left.iter().rev().zip(right.iter().rev()).take_while(same).count();
        let (left, right) = (&left[..left.len() - after], &right[..right.len() - after]);
        let at = match (left.first(), right.first()) {
            (Some(left), Some(right)) => first_difference(left, right),
            (Some(_) | None, Some(_) | None) => 0,
        };
        let around = before.saturating_sub(LINES_AROUND);
        put(diff, ' ', &recorded[around..before], 0);
        put(diff, '-', left, at);
        put(diff, '+', right, at);
        let after = &recorded[recorded.len() - after..];
        put(diff, ' ', &after[..after.len().min(LINES_AROUND)], 0);
    }
}

/// Writes lines with a sign; a long first line is cut to the part around character `at`.
fn put(diff: &mut String, sign: char, lines: &[String], at: usize) {
    for (number, line) in lines.iter().take(SHOWN_LINES).enumerate() {
        let line = shortened(line, if number == 0 { at } else { 0 });
        writeln!(diff, "{sign} {line}").unwrap_or_default();
    }
    if let Some(more @ 1..) = lines.len().checked_sub(SHOWN_LINES) {
        writeln!(diff, "{sign} … {more} lines more").unwrap_or_default();
    }
}

/// Returns a member as lines: a text by its own lines, any other value by those of its JSON.
fn lines(value: Option<&Value>) -> Vec<String> {
    let text = match value {
        None => return Vec::new(),
        Some(Value::String(text)) if text.contains('\n') => text.clone(),
        Some(value @ (Value::Object(_) | Value::Array(_))) => {
            serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
        }
        Some(value) => value.to_string(),
    };
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn difference(recorded: Value, replayed: Value) -> RequestDifference {
        let request = |body| ComparedRequest { head: "POST /v1/chat/completions".to_owned(), body };
        RequestDifference::of(&request(recorded), &request(replayed))
    }

    fn members(recorded: Value, replayed: Value) -> String {
        let RequestDifference { diff, .. } = difference(recorded, replayed);
        diff.lines().skip(2).map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn members_that_differ_are_shown_with_their_pointers() {
        let found = difference(
            json!({"model": "m", "n": 1, "messages": [{"role": "user", "content": "one poem"}]}),
            json!({"model": "m", "top": 2, "messages": [{"role": "user", "content": "two poems"}]}),
        );
        assert_eq!(found.path.as_deref(), Some("/messages/0/content"));
        assert_eq!(found.members, 3);
        let expect = "--- recorded  POST /v1/chat/completions\n\
                      +++ replayed  POST /v1/chat/completions\n\
                      @@ /messages/0/content @@\n- \"one poem\"\n+ \"two poems\"\n\
                      @@ /n @@\n- 1\n@@ /top @@\n+ 2\n";
        assert_eq!(found.diff, expect);
    }

    #[test]
    fn items_are_aligned_at_the_begin_and_at_the_end() {
        assert_eq!(members(json!([1, 2, 3]), json!([1, 9, 2, 3])), "@@ /1 @@\n+ 9\n");
        assert_eq!(members(json!([1, 2, 3]), json!([1, 3])), "@@ /1 @@\n- 2\n");
        assert_eq!(
            members(json!([1, 2]), json!([1, 2, {"a": 1}])),
            "@@ /2 @@\n+ {\n+   \"a\": 1\n+ }\n"
        );
    }

    #[test]
    fn texts_of_several_lines_are_compared_by_line() {
        let found = members(json!({"a/b": "1\n2\n3\n4\n5"}), json!({"a/b": "1\n2\n3\nfour\n5"}));
        assert_eq!(found, "@@ /a~1b @@\n  2\n  3\n- 4\n+ four\n  5\n");
        assert_eq!(members(json!("a"), json!("b")), "@@ the whole body @@\n- \"a\"\n+ \"b\"\n");
    }

    #[test]
    fn a_difference_is_bounded() {
        let long = |end: &str| {
            json!((0..500).map(|n| format!("{}{n}{end}", "x".repeat(9_000))).collect::<Vec<_>>())
        };
        let found = difference(long("a"), long("b"));
        assert_eq!(found.members, 500);
        assert!(found.diff.len() < SHOWN_BYTES + 2_000, "{}", found.diff.len());
        assert!(
            found.diff.contains("0a\"\n") && found.diff.contains("members more\n"),
            "{}",
            found.diff
        );
    }

    #[test]
    fn requests_that_are_equal_as_recorded_differ_in_a_masked_value() {
        let found = difference(json!({}), json!({}));
        assert_eq!(found.path, None);
        assert!(found.diff.ends_with("they differ in a masked value\n"), "{}", found.diff);
    }
}
