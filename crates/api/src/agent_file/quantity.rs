//! Cores, memory and money, without floats.

use super::at::{At, describe};
use super::reader::Reader;
use super::yaml::Kind;

/// More than any machine has: what is above is a typing error.
const MAX_MEMORY_BYTES: u64 = 1 << 50;
const MAX_CPU_MILLIS: u64 = 10_000_000;

const UNITS: &[(&str, u64)] = &[
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("B", 1),
];

/// An amount of memory such as `512Mi`, in bytes.
pub(crate) fn memory_bytes(reader: &mut Reader, at: &At<'_>) -> Option<u64> {
    let parsed = match &at.node.kind {
        Kind::Text { text } => parse_memory(text),
        Kind::Number { text } => {
            let message = format!("the amount of memory {text} has no unit");
            reader.report_hint(at, message, format!("write {text}Mi or {text}Gi"));
            return None;
        }
        Kind::Null | Kind::Bool { .. } | Kind::List(_) | Kind::Map(_) => None,
    };
    match parsed {
        Some(bytes) if (1..=MAX_MEMORY_BYTES).contains(&bytes) => Some(bytes),
        Some(_) => {
            reader.report(at, "the amount of memory is zero or more than any machine has");
            None
        }
        None => {
            let message = format!("{} is not an amount of memory", describe(&at.node.kind));
            let hint = if let Kind::Text { text } = &at.node.kind { meant(text) } else { None };
            let usual = || "write a whole number and a unit, such as 512Mi or 2Gi".to_owned();
            reader.report_hint(at, message, hint.unwrap_or_else(usual));
            None
        }
    }
}

/// A hint for units as others write them: `2GB`, `512mb`, `1 GiB`.
fn meant(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let digits = plain.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = plain.split_at(digits);
    let unit = unit.to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (letter, is_binary) = match unit.strip_suffix('i') {
        Some(letter) => (letter, true),
        None => (unit, false),
    };
    let (decimal, binary) = match letter {
        "k" => ("k", "Ki"),
        "m" => ("M", "Mi"),
        "g" => ("G", "Gi"),
        "t" => ("T", "Ti"),
        _ => return None,
    };
    if number.is_empty() {
        return None;
    }
    Some(if is_binary {
        format!("write {number}{binary}")
    } else {
        format!("write {number}{binary} (powers of 1,024) or {number}{decimal} (powers of 1,000)")
    })
}

pub(crate) fn parse_memory(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let (_, factor) = UNITS.iter().find(|(unit, _)| *unit == &text[digits..])?;
    number.checked_mul(*factor)
}

/// An amount of memory as text such as `512Mi`, in bytes; `None` if it is none, or more than any
/// machine has.
pub fn parse_memory_bytes(text: &str) -> Option<u64> {
    parse_memory(text).filter(|bytes| (1..=MAX_MEMORY_BYTES).contains(bytes))
}

/// Cores as text such as `2`, `0.5` or `500m`, in thousandths; `None` if it is none, or more than
/// any machine has.
pub fn parse_cpu_millis(text: &str) -> Option<u64> {
    parse_cpu(text).filter(|millis| (1..=MAX_CPU_MILLIS).contains(millis))
}

fn parse_cpu(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(millis) => decimal(millis, 0),
        None => decimal(text, 3),
    }
}

/// Cores such as `2`, `0.5` or `500m`, in thousandths.
pub(crate) fn cpu_millis(reader: &mut Reader, at: &At<'_>) -> Option<u64> {
    let parsed = match &at.node.kind {
        Kind::Text { text } | Kind::Number { text } => parse_cpu(text),
        Kind::Null | Kind::Bool { .. } | Kind::List(_) | Kind::Map(_) => None,
    };
    match parsed {
        Some(millis) if (1..=MAX_CPU_MILLIS).contains(&millis) => Some(millis),
        Some(_) | None => {
            let message = format!("{} is not a number of cores", describe(&at.node.kind));
            reader.report_hint(at, message, "write cores or thousandths of one: 2, 0.5, 500m");
            None
        }
    }
}

/// US dollars such as `2.50`, in millionths.
pub(crate) fn micro_usd(reader: &mut Reader, at: &At<'_>) -> Option<u64> {
    let parsed = match &at.node.kind {
        Kind::Number { text } => decimal(text, 6),
        Kind::Null | Kind::Bool { .. } | Kind::Text { .. } | Kind::List(_) | Kind::Map(_) => None,
    };
    if parsed.is_none() {
        let message = format!("{} is not an amount of US dollars", describe(&at.node.kind));
        reader.report_hint(at, message, "write a number with at most six decimals, such as 2.50");
    }
    parsed
}

/// US dollars as text such as `2.50`, in millionths.
pub(crate) fn parse_micro_usd(text: &str) -> Option<u64> {
    decimal(text, 6)
}

/// A decimal without sign or exponent, times ten to the power of `places`.
pub(crate) fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return None;
    }
    format!("{whole}{fraction}{}", "0".repeat(places - fraction.len())).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit() {
        assert_eq!(decimal("2.0", 6), Some(2_000_000));
        assert_eq!(decimal("25", 6), Some(25_000_000));
        assert_eq!(decimal("0.000001", 6), Some(1));
        assert_eq!(decimal("0.0000001", 6), None);
        assert_eq!(decimal(".5", 3), Some(500));
        for text in ["", ".", "-1", "+1", "1e3", "1_000", "1.2.3", "99999999999999999999"] {
            assert_eq!(decimal(text, 6), None, "{text}");
        }
    }

    #[test]
    fn memory_is_binary_with_an_i_and_decimal_without() {
        assert_eq!(parse_memory("2Gi"), Some(2 << 30));
        assert_eq!(parse_memory("2G"), Some(2_000_000_000));
        assert_eq!(parse_memory("100B"), Some(100));
        for text in ["", "Gi", "2gi", "2 Gi", "2.5Gi", "-2Gi", "99999999999Ti"] {
            assert_eq!(parse_memory(text), None, "{text}");
        }
    }
}
