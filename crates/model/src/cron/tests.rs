use super::*;

/// The first `count` slots after `after` (RFC 3339), in UTC.
fn slots(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let expr = CronExpr::parse(line).unwrap();
    let zone = time_zone(zone).unwrap();
    let mut moment = at(after);
    let mut slots = Vec::new();
    for _ in 0..count {
        let Some(next) = expr.next_after(moment, zone) else { break };
        assert!(next > moment, "{line}: {next} is not after {moment}");
        moment = next;
        slots.push(next.to_string().replace(".000Z", "Z"));
    }
    slots
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

#[track_caller]
fn check(line: &str, zone: &str, after: &str, expect: &[&str]) {
    assert_eq!(slots(line, zone, after, expect.len()), expect, "{line} {zone}");
}

#[test]
fn seconds_come_first_when_there_are_six_fields() {
    check(
        "0 */5 * * * *",
        "UTC",
        "2026-03-01T00:00:00Z",
        &["2026-03-01T00:05:00Z", "2026-03-01T00:10:00Z"],
    );
    check(
        "*/20 * * * * *",
        "UTC",
        "2026-03-01T00:00:59.999Z",
        &["2026-03-01T00:01:00Z", "2026-03-01T00:01:20Z"],
    );
}

#[test]
fn five_fields_start_at_second_zero() {
    check(
        "30 4 * * *",
        "UTC",
        "2026-03-01T00:00:00Z",
        &["2026-03-01T04:30:00Z", "2026-03-02T04:30:00Z"],
    );
}

#[test]
fn a_slot_is_strictly_after_the_moment_asked_about() {
    check("* * * * *", "UTC", "2026-03-01T00:00:00Z", &["2026-03-01T00:01:00Z"]);
    check("* * * * *", "UTC", "2026-03-01T00:00:59.999Z", &["2026-03-01T00:01:00Z"]);
}

#[test]
fn seven_fields_end_with_the_year_and_with_it() {
    check("0 0 0 1 1 * 2027", "UTC", "2026-03-01T00:00:00Z", &["2027-01-01T00:00:00Z"]);
    assert!(slots("0 0 0 1 1 * 2020", "UTC", "2026-03-01T00:00:00Z", 1).is_empty());
}

#[test]
fn nicknames_are_read() {
    for (line, expect) in [
        ("@hourly", "2026-03-04T06:00:00Z"),
        ("@daily", "2026-03-05T00:00:00Z"),
        ("@midnight", "2026-03-05T00:00:00Z"),
        ("@weekly", "2026-03-08T00:00:00Z"),
        ("@monthly", "2026-04-01T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
        ("@annually", "2027-01-01T00:00:00Z"),
    ] {
        check(line, "UTC", "2026-03-04T05:06:07Z", &[expect]);
    }
}

#[test]
fn every_counts_from_the_epoch_in_any_zone() {
    check(
        "@every 30s",
        "Asia/Kolkata",
        "2026-03-01T00:00:10Z",
        &["2026-03-01T00:00:30Z", "2026-03-01T00:01:00Z"],
    );
    check(
        "@every 1h30m",
        "UTC",
        "1970-01-01T00:00:00Z",
        &["1970-01-01T01:30:00Z", "1970-01-01T03:00:00Z"],
    );
}

#[test]
fn sunday_is_0_and_7_and_a_name() {
    for line in ["0 0 * * 0", "0 0 * * 7", "0 0 * * SUN", "0 0 * * sun", "0 0 0 * * 7"] {
        check(
            line,
            "UTC",
            "2026-03-01T00:00:00Z",
            &["2026-03-08T00:00:00Z", "2026-03-15T00:00:00Z"],
        );
    }
    check(
        "0 0 * JAN MON-FRI",
        "UTC",
        "2026-12-31T12:00:00Z",
        &["2027-01-01T00:00:00Z", "2027-01-04T00:00:00Z"],
    );
    check(
        "0 0 * * 5-7",
        "UTC",
        "2026-03-01T00:00:00Z",
        &["2026-03-06T00:00:00Z", "2026-03-07T00:00:00Z", "2026-03-08T00:00:00Z"],
    );
}

#[test]
fn day_of_month_and_day_of_week_are_alternatives() {
    check(
        "0 0 13 * 5",
        "UTC",
        "2026-03-01T00:00:00Z",
        &["2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z"],
    );
}

#[test]
fn february_29_waits_for_a_leap_year() {
    check(
        "0 12 29 2 *",
        "UTC",
        "2026-03-01T00:00:00Z",
        &["2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z"],
    );
    check("0 12 29 2 *", "UTC", "2096-03-01T00:00:00Z", &["2104-02-29T12:00:00Z"]);
}

#[test]
fn a_line_that_can_never_fire_is_refused() {
    for line in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 0 30 FEB * 2024", "0 0 0 29 2 * 2027"] {
        let error = CronExpr::parse(line).unwrap_err();
        assert!(matches!(error, CronError::NeverFires), "{line}: {error}");
    }
}

#[test]
fn a_daily_slot_in_the_gap_fires_once_right_after_it() {
    // New York goes from 01:59:59 (-5) to 03:00 (-4) on 2026-03-08.
    check(
        "30 2 * * *",
        "America/New_York",
        "2026-03-07T12:00:00Z",
        &["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
    );
    // Several slots in one gap are one.
    check(
        "*/10 2 * * *",
        "America/New_York",
        "2026-03-08T06:00:00Z",
        &["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"],
    );
    // And one with a slot of the hour after it.
    check(
        "0 0 2,3 * * *",
        "America/New_York",
        "2026-03-08T06:00:00Z",
        &["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z", "2026-03-09T07:00:00Z"],
    );
}

#[test]
fn a_slot_that_the_clock_shows_twice_fires_the_first_time() {
    // New York goes from 01:59:59 (-4) back to 01:00 (-5) on 2026-11-01.
    check(
        "30 1 * * *",
        "America/New_York",
        "2026-10-31T12:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
    );
    check("30 1 * * *", "America/New_York", "2026-11-01T06:10:00Z", &["2026-11-02T06:30:00Z"]);
    check(
        "0 30 1,13 * * *",
        "America/New_York",
        "2026-11-01T05:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-01T18:30:00Z"],
    );
}

#[test]
fn a_star_for_the_hour_follows_real_time() {
    check(
        "0 * * * *",
        "America/New_York",
        "2026-03-08T05:30:00Z",
        &["2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"],
    );
    check(
        "30 * * * *",
        "America/New_York",
        "2026-11-01T05:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"],
    );
    check(
        "@hourly",
        "Australia/Lord_Howe",
        "2026-10-03T14:00:00Z",
        &["2026-10-03T14:30:00Z", "2026-10-03T16:00:00Z", "2026-10-03T17:00:00Z"],
    );
}

#[test]
fn a_day_that_a_zone_left_out_fires_at_its_end() {
    // Samoa had no 2011-12-30.
    check("0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", &["2011-12-30T10:00:00Z"]);
}

#[test]
fn every_slot_of_a_year_of_changing_clocks_is_asked_for_once() {
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"] {
        for line in ["15 2 * * *", "0 0 0-23 * * *", "45 1,2,3 * * *"] {
            let all = slots(line, zone, "2026-01-01T00:00:00Z", 365 * 3);
            let mut sorted = all.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(all, sorted, "{line} {zone}");
            // From any moment between two slots the answer is the later one.
            let expr = CronExpr::parse(line).unwrap();
            let zone = time_zone(zone).unwrap();
            for pair in all.windows(2) {
                let between = Timestamp::from_millis(at(&pair[1]).as_millis() - 1);
                assert_eq!(expr.next_after(between, zone), Some(at(&pair[1])), "{line} {zone}");
            }
        }
    }
}

#[test]
fn what_is_no_cron_line_is_refused_with_the_reason() {
    let said = |line: &str| CronExpr::parse(line).unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            "", "* * * *", "* * * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
            "* * * * 8", "*/0 * * * *", "5-1 * * * *", "a * * * *", "* * * * MONDAY", "@often",
            "@every", "@every 5", "@every30s", "@every 10ms", "@every 400d", "0 0 30 2 *",
            "\u{1F980} * * * *", "* * * * *; rm", "1,,2 * * * *",
        ]
        .map(|line| format!("{line:?}: {}", said(line)))
        .join("\n"),
        @r#"
    "": the cron line is empty
    "* * * *": a cron line has 5 fields, 6 with seconds first or 7 with the year last, not 4
    "* * * * * * * *": a cron line has 5 fields, 6 with seconds first or 7 with the year last, not 8
    "60 * * * *": "60" is no minute of a cron line (0-59, *, lists, ranges and steps)
    "* 24 * * *": "24" is no hour of a cron line (0-23, *, lists, ranges and steps)
    "* * 0 * *": "0" is no day of the month of a cron line (1-31, *, lists, ranges and steps)
    "* * * 13 *": "13" is no month of a cron line (1-12 or JAN-DEC, *, lists, ranges and steps)
    "* * * * 8": "8" is no day of the week of a cron line (0-7 or SUN-SAT, *, lists, ranges and steps)
    "*/0 * * * *": "*/0" is no minute of a cron line (0-59, *, lists, ranges and steps)
    "5-1 * * * *": "5-1" is no minute of a cron line (0-59, *, lists, ranges and steps)
    "a * * * *": "a" is no minute of a cron line (0-59, *, lists, ranges and steps)
    "* * * * MONDAY": "MONDAY" is no day of the week of a cron line (0-7 or SUN-SAT, *, lists, ranges and steps)
    "@often": "@often" is not @yearly, @monthly, @weekly, @daily, @hourly or @every <duration>
    "@every": @every needs a duration such as 30s or 1h30m, not ""
    "@every 5": @every needs a duration such as 30s or 1h30m, not "5"
    "@every30s": @every needs a duration such as 30s or 1h30m, not "30s"
    "@every 10ms": the interval of @every is from 1 second to 366 days
    "@every 400d": the interval of @every is from 1 second to 366 days
    "0 0 30 2 *": no date ever matches this cron line
    "🦀 * * * *": "🦀" is no minute of a cron line (0-59, *, lists, ranges and steps)
    "* * * * *; rm": "*;" is no month of a cron line (1-12 or JAN-DEC, *, lists, ranges and steps)
    "1,,2 * * * *": "1,,2" is no minute of a cron line (0-59, *, lists, ranges and steps)
    "#
    );
    assert_eq!(said(&"1,".repeat(200)), "the cron line is longer than 256 characters");
}

#[test]
fn the_ends_of_time_are_no_panic() {
    for moment in [i64::MIN, -1, 0, 253_402_300_799_000, i64::MAX] {
        for line in ["* * * * *", "0 3 * * *", "@every 7s"] {
            let expr = CronExpr::parse(line).unwrap();
            let _next = expr.next_after(Timestamp::from_millis(moment), time_zone("UTC").unwrap());
        }
    }
}

mod any_line {
    use proptest::prelude::*;

    use super::super::*;

    /// Returns a strategy for fields of cron lines, most of them valid.
    fn field() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => Just("*".to_owned()),
            2 => (0_u32..70).prop_map(|number| number.to_string()),
            1 => (0_u32..70, 0_u32..70).prop_map(|(from, to)| format!("{from}-{to}")),
            1 => (0_u32..70, 0_u32..70).prop_map(|(from, step)| format!("{from}/{step}")),
            1 => (1_u32..70).prop_map(|step| format!("*/{step}")),
            1 => (0_u32..70, 0_u32..70).prop_map(|(a, b)| format!("{a},{b}")),
            1 => prop::sample::select(vec!["MON", "SUN-SAT", "JAN", "L", "15W", "5#2", "5L", "?", "+1"])
                .prop_map(str::to_owned),
            1 => "[-0-9*/,#LW?+@A-Za-z\u{1F980}]{0,6}",
        ]
    }

    proptest! {
        #[test]
        fn is_refused_or_fires_strictly_later_and_the_same_again(
            fields in prop::collection::vec(field(), 4..9),
            after in -2_000_000_000_000_i64..5_000_000_000_000,
            zone in prop::sample::select(vec!["UTC", "America/New_York", "Pacific/Apia", "Asia/Kathmandu"]),
        ) {
            if let Ok(expr) = CronExpr::parse(&fields.join(" ")) {
                let (after, zone) = (Timestamp::from_millis(after), time_zone(zone).unwrap());
                if let Some(next) = expr.next_after(after, zone) {
                    prop_assert!(next > after);
                    let just_before = Timestamp::from_millis(next.as_millis() - 1);
                    prop_assert_eq!(expr.next_after(just_before, zone), Some(next));
                }
            }
        }

        #[test]
        fn is_no_panic(text in "\\PC{0,40}") {
            let _any = CronExpr::parse(&text);
        }
    }
}
