//! Last lines of an attempt's stderr, which explain its failure.

use std::collections::VecDeque;

/// Upper bound of the bytes of stderr that are kept with a failure, as a part of the journal.
pub const STDERR_TAIL_BYTES: usize = 4 * 1_024;
/// Upper bound of the lines that are kept: usually a stack trace.
pub const STDERR_TAIL_LINES: usize = 20;

/// Keeper of the end of a stream while bytes come.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    is_cut: bool,
}

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let last = &bytes[bytes.len().saturating_sub(STDERR_TAIL_BYTES)..];
        self.bytes.extend(last);
        let surplus = self.bytes.len().saturating_sub(STDERR_TAIL_BYTES);
        self.is_cut |= surplus > 0 || last.len() < bytes.len();
        self.bytes.drain(..surplus);
    }

    /// Returns the last lines as text; `None` if there are only blanks.
    pub(super) fn finish(mut self) -> Option<String> {
        let bytes: &[u8] = self.bytes.make_contiguous();
        let whole = match bytes.iter().position(|byte| *byte == b'\n') {
            // A line that was cut at its beginning is left out, unless it is the only one.
            Some(end) if self.is_cut && end + 1 < bytes.len() => &bytes[end + 1..],
            Some(_) | None => bytes,
        };
        let text = String::from_utf8_lossy(whole);
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(STDERR_TAIL_LINES)..].join("\n");
        (!tail.trim().is_empty()).then_some(tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: &[&str], expect: Option<&str>) {
        let mut tail = Tail::default();
        for part in parts {
            tail.push(part.as_bytes());
        }
        assert_eq!(tail.finish().as_deref(), expect);
    }

    #[test]
    fn the_tail_is_the_last_whole_lines() {
        check(&[], None);
        check(&["\n \n"], None);
        check(&["one\ntw", "o\n"], Some("one\ntwo"));
        let long = "x".repeat(STDERR_TAIL_BYTES);
        let last = &long[..STDERR_TAIL_BYTES - 10];
        check(&["lost\n", &long[..100], "\nkept\n", last], Some(&format!("kept\n{last}")));
        check(&[&long, &long, "y"], Some(&format!("{}y", &long[1..])));
        let lines: Vec<String> = (0..100).map(|line| line.to_string()).collect();
        check(&[&lines.join("\n")], Some(&lines[100 - STDERR_TAIL_LINES..].join("\n")));
    }
}
