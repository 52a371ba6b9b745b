//! Money as decimal text, read without floats.

use serde_json::Value;
use thiserror::Error;

use super::MAX_COST_MICRO_USD;

/// Decimal places of a US dollar that errand counts.
const PLACES: i64 = 6;

/// The millionths of a US dollar that a decimal says: a JSON number, or the same as a string.
///
/// Every digit that is written counts. What is finer than a millionth is rounded up, so that no
/// call that costs something is free.
///
/// # Errors
///
/// [`MalformedCost`] if it is no decimal, negative, or more than anything costs.
pub fn micro_usd(value: &Value) -> Result<u64, MalformedCost> {
    let malformed = || MalformedCost { text: super::fields::shown(value) };
    let text = match value {
        // The shortest text that means this number, which is what was written but for zeros.
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(malformed());
        }
    };
    decimal(&text).filter(|cost| *cost <= MAX_COST_MICRO_USD).ok_or_else(malformed)
}

/// A decimal with an exponent, times 10^6, rounded up.
fn decimal(text: &str) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    let fraction_len = i64::try_from(fraction.len()).ok()?;
    // The number is `digits` times ten to the power of `shift`, in millionths.
    let shift = exponent.checked_sub(fraction_len)?.checked_add(PLACES)?;
    if digits.is_empty() {
        return Some(0);
    }
    if let Ok(zeros) = usize::try_from(shift) {
        // Longer ones are above any limit; this also bounds the text.
        return (zeros <= 20).then(|| format!("{digits}{}", "0".repeat(zeros)).parse().ok())?;
    }
    let dropped = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    let (kept, rest) = match digits.len().checked_sub(dropped) {
        Some(kept) => digits.split_at(kept),
        None => ("", digits),
    };
    let kept: u64 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    kept.checked_add(u64::from(rest.bytes().any(|byte| byte != b'0')))
}

/// The value is no amount of money.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("expected US dollars as a decimal of at least 0, found {text}")]
pub struct MalformedCost {
    /// Text as given, shortened.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_digit_counts_and_the_rest_is_rounded_up() {
        for (written, micro) in [
            (json!(0), 0),
            (json!(0.0), 0),
            (json!(1), 1_000_000),
            (json!(0.1), 100_000),
            (json!(0.29), 290_000),
            (json!(1.15), 1_150_000),
            (json!(0.000_036), 36),
            (json!(1e-7), 1),
            (json!(1.5e-5), 15),
            (json!("0.0123"), 12_300),
            (json!("0.0000000"), 0),
            (json!("12.3456789"), 12_345_679),
            (json!("1e3"), 1_000_000_000),
            (json!(".5"), 500_000),
            (json!("0.00000000000000000000000000000000000001"), 1),
        ] {
            assert_eq!(micro_usd(&written), Ok(micro), "{written}");
        }
    }

    #[test]
    fn what_is_no_amount_of_money_is_refused() {
        for written in [
            json!(-0.5),
            json!("-1"),
            json!(""),
            json!("."),
            json!("1 USD"),
            json!("1e999999999999999999999"),
            json!("1e30"),
            json!(1e300),
            json!("9999999999999999999999999"),
            json!(true),
            json!({}),
        ] {
            assert!(micro_usd(&written).is_err(), "{written}");
        }
    }
}
