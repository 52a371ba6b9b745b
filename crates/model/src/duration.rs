//! Durations as people write them: `500ms`, `10m`, `1h30m`.

use std::time::Duration;

use thiserror::Error;

/// The units, longest first: the order in which they may follow each other.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses a duration: whole numbers with the units `d`, `h`, `m`, `s`, `ms`, each at most once and
/// the longest first. Zero is a duration.
///
/// # Errors
///
/// [`MalformedDuration`] for any other text, a bare number included: its unit would be a guess.
pub fn parse_duration(text: &str) -> Result<Duration, MalformedDuration> {
    let malformed = || MalformedDuration { text: text.to_owned() };
    let mut rest = text;
    let mut total_ms = 0_u64;
    let mut units = UNITS.iter();
    if rest.is_empty() {
        return Err(malformed());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| malformed())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        let (name, millis) =
            units.find(|(name, _)| *name == &rest[..letters]).ok_or_else(malformed)?;
        rest = &rest[name.len()..];
        total_ms = number
            .checked_mul(*millis)
            .and_then(|part| total_ms.checked_add(part))
            .ok_or_else(malformed)?;
    }
    Ok(Duration::from_millis(total_ms))
}

/// The text is no duration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a duration")]
pub struct MalformedDuration {
    /// Text as given.
    pub text: String,
}

impl MalformedDuration {
    /// Advice that follows the error.
    pub const HINT: &str = "write a whole number and a unit, such as 500ms, 30s, 10m, 1h30m or 2d";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up_from_the_longest_to_the_shortest() {
        let ms = |text: &str| parse_duration(text).map(|length| length.as_millis()).ok();
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("10m"), Some(600_000));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("2d1h1m1s1ms"), Some(176_461_001));
        assert_eq!(ms("0s"), Some(0));
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "1.5h",
            "5m5m",
            "5s1m",
            "5M",
            "1h30",
            "5µs",
            "1w",
            "+5s",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
