//! Lines with which the part of an attempt begins and ends, among the supervisor's own.

/// The line with which attempt `number` begins; `reason` is the word for why there is one.
pub fn began(number: u32, reason: &str) -> String {
    format!("attempt {number} began ({reason})")
}

/// The line with which attempt `number` ends.
pub fn ended(number: u32, how: &str) -> String {
    format!("attempt {number} ended {how}")
}

/// The attempt that begins with this line of the supervisor's; `None`: none does.
pub fn beginning(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let (number, rest) = text.strip_prefix("attempt ")?.split_once(' ')?;
    if rest.starts_with("began (") { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_read_back_and_nothing_else_is_one() {
        assert_eq!(beginning(began(12, "retry").as_bytes()), Some(12));
        for other in [&ended(1, "(exit code 0): run completed")[..], "attempt x began (retry)", ""]
        {
            assert_eq!(beginning(other.as_bytes()), None, "{other}");
        }
    }
}
