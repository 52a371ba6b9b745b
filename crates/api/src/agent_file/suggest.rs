//! Suggestions for misspelled words.

/// Returns the candidate closest to `given`, if one is close enough to be meant.
pub fn closest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain_given = plain(given);
    candidates
        .into_iter()
        .map(|candidate| (distance(&plain_given, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Slips that are allowed: none in a word of two letters, one in a short word, two in a long one.
fn allowed(candidate: &str) -> usize {
    match candidate.len() {
        0..=2 => 0,
        3..=4 => 1,
        _ => 2,
    }
}

/// Longer words are no slip of the pen, and comparing them costs their product.
const MAX_CHARS: usize = 64;

/// Without what separates words and without case: `maxRetries` is `max_retries`.
fn plain(word: &str) -> Vec<char> {
    let letters = word.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    letters.flat_map(char::to_lowercase).take(MAX_CHARS).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours from one to the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let fields = ["timeouts", "env", "max_retries", "retry_policy", "listen"];
        for (given, expect) in [
            ("timeout", Some("timeouts")),
            ("tiemouts", Some("timeouts")),
            ("maxRetries", Some("max_retries")),
            ("retry-policy", Some("retry_policy")),
            ("ENV", Some("env")),
            ("evn", Some("env")),
            ("listener", Some("listen")),
            ("image", None),
            ("", None),
        ] {
            assert_eq!(closest(given, fields), expect, "{given}");
        }
    }
}
