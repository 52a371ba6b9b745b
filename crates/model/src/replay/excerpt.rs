//! Two texts that differ, cut down to where they do.

/// Lines shown before the first difference.
const LINES_BEFORE: usize = 2;
/// Lines shown from the first difference on.
const LINES_FROM: usize = 6;
/// The longest line that is shown whole.
const LINE_CHARS: usize = 400;
/// Characters shown before the first difference in a longer line.
const CHARS_BEFORE: usize = 80;

/// The parts of both texts around their first difference, with `…` where something is left out.
/// Texts that are short are returned whole.
pub fn excerpt(expected: &str, found: &str) -> (String, String) {
    let (left, right): (Vec<_>, Vec<_>) = (lines(expected), lines(found));
    let same = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let from = same.saturating_sub(LINES_BEFORE);
    let differ = |lines: &[&str]| lines.get(same).copied().unwrap_or_default().to_owned();
    let at = first_difference(&differ(&left), &differ(&right));
    (part(&left, from, same, at), part(&right, from, same, at))
}

/// Lines with their ends, so that a missing last one is seen.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

pub(super) fn first_difference(left: &str, right: &str) -> usize {
    left.chars().zip(right.chars()).take_while(|(left, right)| left == right).count()
}

fn part(lines: &[&str], from: usize, differs: usize, at: usize) -> String {
    let to = (differs + LINES_FROM).min(lines.len());
    let mut text = String::new();
    if from > 0 {
        text.push_str("…\n");
    }
    for (number, line) in lines.iter().enumerate().take(to).skip(from) {
        text.push_str(&shortened(line, if number == differs { at } else { 0 }));
    }
    if to < lines.len() {
        text.push('…');
    }
    text
}

/// A line, or the part of a long one around character `at`.
pub(super) fn shortened(line: &str, at: usize) -> String {
    if line.chars().count() <= LINE_CHARS {
        return line.to_owned();
    }
    let from = at.saturating_sub(CHARS_BEFORE);
    let mut text = if from > 0 { "…".to_owned() } else { String::new() };
    text.extend(line.chars().skip(from).take(LINE_CHARS));
    if line.chars().count() > from + LINE_CHARS {
        text.push('…');
        if line.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_shown_whole() {
        assert_eq!(excerpt("a\n", "b\n"), ("a\n".to_owned(), "b\n".to_owned()));
        assert_eq!(excerpt("same", "same\n"), ("same".to_owned(), "same\n".to_owned()));
        assert_eq!(excerpt("", "x"), (String::new(), "x".to_owned()));
    }

    #[test]
    fn long_texts_are_cut_to_where_they_differ() {
        let line = |number: usize| format!("line {number}\n");
        let left: String = (0..100).map(line).collect();
        let right = left.replace("line 50\n", "line fifty\n");
        let (expected, found) = excerpt(&left, &right);
        assert!(expected.starts_with("…\nline 48\nline 49\nline 50\nline 51\n"), "{expected}");
        assert!(found.starts_with("…\nline 48\nline 49\nline fifty\nline 51\n"), "{found}");
        assert!(expected.ends_with("line 55\n…"), "{expected}");
        let long = "x".repeat(10_000);
        let (expected, found) = excerpt(&(long.clone() + "a"), &(long + "bb"));
        assert!(expected.chars().count() <= LINE_CHARS + 3, "{}", expected.len());
        assert!(expected.ends_with("xa") && found.ends_with("xbb"), "{expected} {found}");
    }
}
