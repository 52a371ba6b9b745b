//! Marker lines at the beginning and end of an attempt, in the stream `system`.

/// Returns the line at the beginning of attempt `number`; `reason` is the word for its cause.
pub fn began(number: u32, reason: &str) -> String {
    format!("attempt {number} began ({reason})")
}

/// Returns the line at the end of attempt `number`.
pub fn ended(number: u32, how: &str) -> String {
    format!("attempt {number} ended {how}")
}

/// Returns the number of the attempt that begins with this line; `None` for any other line.
pub fn beginning(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let (number, rest) = text.strip_prefix("attempt ")?.split_once(' ')?;
    if rest.starts_with("began (") { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_at_the_beginning_of_an_attempt_is_recognized() {
        assert_eq!(beginning(began(12, "retry").as_bytes()), Some(12));
        for other in [&ended(1, "(exit code 0): run completed")[..], "attempt x began (retry)", ""]
        {
            assert_eq!(beginning(other.as_bytes()), None, "{other}");
        }
    }
}
