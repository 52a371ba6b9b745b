//! Amounts in few characters, for people.

use std::time::Duration;

/// `850 ms`, `12.3 s`, `2 m 03 s`, `1 h 04 m`, `3 d 04 h`.
pub fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let seconds = duration.as_secs();
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{seconds}.{} s", millis % 1_000 / 100),
        60_000..3_600_000 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3_600_000..86_400_000 => format!("{} h {:02} m", seconds / 3_600, seconds / 60 % 60),
        86_400_000.. => format!("{} d {:02} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// `950`, `12.3k`, `4.5M`.
pub fn count(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}.{}k", count / 1_000, count % 1_000 / 100),
        1_000_000.. => format!("{}.{}M", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

/// Millionths of a dollar as `$0.0123`, `$12.34`.
pub fn money(micro_usd: u64) -> String {
    let (whole, part) = (micro_usd / 1_000_000, micro_usd % 1_000_000);
    if whole > 0 {
        format!("${whole}.{:02}", part / 10_000)
    } else if part >= 100 || part == 0 {
        format!("$0.{:04}", part / 100)
    } else {
        format!("$0.{part:06}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short_at_every_size() {
        let durations = [0, 999, 1_000, 12_345, 60_000, 123_456, 3_600_000, 90_061_000];
        let shown = durations.map(|millis| duration(Duration::from_millis(millis)));
        let expected =
            ["0 ms", "999 ms", "1.0 s", "12.3 s", "1 m 00 s", "2 m 03 s", "1 h 00 m", "1 d 01 h"];
        assert_eq!(shown, expected);
        assert_eq!([0, 999, 1_234, 4_560_000].map(count), ["0", "999", "1.2k", "4.5M"]);
        let money = [0, 7, 12_345, 1_500_000, 123_456_789].map(money);
        assert_eq!(money, ["$0.0000", "$0.000007", "$0.0123", "$1.50", "$123.45"]);
    }
}
