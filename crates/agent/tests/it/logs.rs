//! Reading of logs: last lines, times, segments, damage.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use errand_agent::log::{self, LogReader, Query, SegmentLimits, Writer};
use errand_model::Timestamp;

use crate::support::{Place, shown};

fn tail(lines: usize) -> Query {
    Query { tail: Some(lines), ..Query::default() }
}

/// A log with stamps one second apart, from `(stream, tag, text)`.
fn write(path: &Path, lines: &[&str]) {
    let mut text = String::new();
    for (second, line) in lines.iter().enumerate() {
        writeln!(text, "2026-01-01T00:00:{second:02}.000000000Z {line}").unwrap();
    }
    fs::write(path, text).unwrap();
}

#[test]
fn a_log_that_does_not_exist_is_empty() {
    let place = Place::new();
    assert_eq!(shown(&place.log_path(), Query::default()), "");
    assert_eq!(shown(&place.log_path(), tail(3)), "");
    assert_eq!(
        shown(&place.log_path(), Query { since: Some(Timestamp::default()), ..Query::default() }),
        ""
    );
}

#[test]
fn parts_of_a_line_are_joined_by_stream() {
    let place = Place::new();
    let lines =
        ["stdout P one ", "stderr F other", "stdout P two ", "stdout F three", "system F end"];
    write(&place.log_path(), &lines);
    assert_eq!(shown(&place.log_path(), Query::default()), "other\none two three\nend\n");
}

#[test]
fn a_line_without_end_is_shown() {
    let place = Place::new();
    write(&place.log_path(), &["stdout F whole", "stdout P name? "]);
    assert_eq!(shown(&place.log_path(), Query::default()), "whole\nname? ");
    write(&place.log_path(), &["stdout P name? ", "stderr F interrupted", "stdout F x"]);
    assert_eq!(shown(&place.log_path(), Query::default()), "interrupted\nname? x\n");
}

#[test]
fn a_piece_that_was_shown_is_continued_and_interrupted_visibly() {
    let place = Place::new();
    write(&place.log_path(), &["stdout P name? "]);
    let mut reader = LogReader::open(&place.log_path(), Query::default()).unwrap();
    let mut out = Vec::new();
    let mut read = |reader: &mut LogReader| {
        while let Some(line) = reader.next_line().unwrap() {
            line.render(true, &mut out);
        }
        String::from_utf8(out.clone()).unwrap()
    };
    let stamp = "2026-01-01T00:00:00.000000000Z";
    assert_eq!(read(&mut reader), format!("{stamp} name? "));
    let more = format!("{stamp} stderr F no\n{stamp} stdout F yes\n");
    let mut file = fs::OpenOptions::new().append(true).open(place.log_path()).unwrap();
    std::io::Write::write_all(&mut file, more.as_bytes()).unwrap();
    assert_eq!(read(&mut reader), format!("{stamp} name? \n{stamp} no\nyes\n"));
}

#[test]
fn the_last_lines_are_counted_as_people_count_them() {
    let place = Place::new();
    let lines = ["stdout F a", "stdout P b", "stdout P b", "stdout F b", "stderr F c"];
    write(&place.log_path(), &lines);
    let check = |lines, expect: &str| assert_eq!(shown(&place.log_path(), tail(lines)), expect);
    check(0, "");
    check(1, "c\n");
    check(2, "bbb\nc\n");
    check(3, "a\nbbb\nc\n");
    check(99, "a\nbbb\nc\n");
    check(usize::MAX, "a\nbbb\nc\n");
}

#[test]
fn the_last_lines_are_found_at_every_block_boundary() {
    let place = Place::new();
    let writer = Writer::open(&place.log_path()).unwrap();
    for number in 0..5_000 {
        writer.system(&format!("{number} {}", "x".repeat(number % 97)));
    }
    let all = shown(&place.log_path(), Query::default());
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 5_000);
    for count in (1..5_000).step_by(7) {
        let expect: String = lines[5_000 - count..].iter().flat_map(|line| [line, "\n"]).collect();
        assert!(shown(&place.log_path(), tail(count)) == expect, "{count}");
    }
}

#[test]
fn since_leaves_out_older_lines() {
    let place = Place::new();
    write(
        &place.log_path(),
        &["stdout F a", "stdout P b", "stderr F c", "stdout F b", "stdout F d"],
    );
    let start = chrono_ms("2026-01-01T00:00:00Z");
    let check = |ms, expect: &str| {
        let since = Some(Timestamp::from_millis(start + ms));
        assert_eq!(shown(&place.log_path(), Query { since, ..Query::default() }), expect);
    };
    check(0, "a\nc\nbb\nd\n");
    check(1, "c\nbb\nd\n");
    check(2_000, "c\nd\n");
    check(60_000, "");
}

fn chrono_ms(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

#[test]
fn damaged_lines_are_shown_as_they_are() {
    let place = Place::new();
    let text = b"garbage\n\n2026-01-01T00:00:00.000000000Z stdout F fine\n\xff\xfe\n2026-01-01T00:00:00.0Z stdo";
    fs::write(place.log_path(), text).unwrap();
    let expect = "garbage\n\nfine\n\u{fffd}\u{fffd}\n2026-01-01T00:00:00.0Z stdo\n";
    assert_eq!(shown(&place.log_path(), Query::default()), expect);
    assert_eq!(
        shown(&place.log_path(), tail(3)),
        "fine\n\u{fffd}\u{fffd}\n2026-01-01T00:00:00.0Z stdo\n"
    );
    // The next writer starts a new line.
    Writer::open(&place.log_path()).unwrap().system("next");
    assert_eq!(shown(&place.log_path(), tail(2)), "2026-01-01T00:00:00.0Z stdo\nnext\n");
}

#[test]
fn megabytes_without_a_newline_are_shown_in_bounded_memory() {
    let place = Place::new();
    fs::write(place.log_path(), vec![b'x'; 5_000_000]).unwrap();
    let mut reader = LogReader::open(&place.log_path(), Query::default()).unwrap();
    let mut bytes = 0;
    while let Some(line) = reader.next_line().unwrap() {
        assert!(line.text.len() < 2_000_000);
        bytes += line.text.len();
    }
    assert_eq!(bytes, 5_000_000);
}

#[test]
fn a_log_is_rotated_within_its_limits_and_reports_dropped_lines() {
    let place = Place::new();
    let limits = SegmentLimits { segment_bytes: 1_000, segments: 3 };
    let writer = Writer::with_limits(&place.log_path(), limits).unwrap();
    for number in 0..200 {
        writer.system(&format!("line {number}"));
    }
    let files = fs::read_dir(place.dir.path()).unwrap().count();
    assert_eq!(files, 3);
    let all = shown(&place.log_path(), Query::default());
    let numbers: Vec<usize> =
        all.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
    let first = numbers[0];
    assert!(first > 100);
    assert_eq!(numbers, (first..200).collect::<Vec<_>>());
    assert!(all.contains("bytes of this log were dropped"), "{all}");
    let last: String = (150..200).map(|number| format!("line {number}\n")).collect();
    let notes_aside: String = shown(&place.log_path(), tail(60))
        .lines()
        .filter(|line| line.starts_with("line"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(last.ends_with(&notes_aside) || notes_aside.ends_with(&last));
    log::remove(&place.log_path()).unwrap();
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0);
    log::remove(&place.log_path()).unwrap();
}

#[test]
fn an_interrupted_rotation_hides_no_lines() {
    let place = Place::new();
    write(&place.log_path(), &["stdout F newest"]);
    write(&place.path("run.log.1"), &["stdout F newer"]);
    write(&place.path("run.log.3"), &["stdout F older"]);
    write(&place.path("run.log.4"), &["stdout F oldest"]);
    let all = "oldest\nolder\nnewer\nnewest\n";
    assert_eq!(shown(&place.log_path(), Query::default()), all);
    assert_eq!(shown(&place.log_path(), tail(3)), "older\nnewer\nnewest\n");
    fs::remove_file(place.log_path()).unwrap();
    assert_eq!(shown(&place.log_path(), Query::default()), "oldest\nolder\nnewer\n");
    assert_eq!(shown(&place.log_path(), tail(1)), "newer\n");
    log::remove(&place.log_path()).unwrap();
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0);
}

#[test]
fn a_log_that_is_removed_while_it_is_read_ends() {
    let place = Place::new();
    write(&place.log_path(), &["stdout F one", "stdout F two"]);
    let mut reader = LogReader::open(&place.log_path(), Query::default()).unwrap();
    assert_eq!(reader.next_line().unwrap().unwrap().text, b"one");
    log::remove(&place.log_path()).unwrap();
    assert_eq!(reader.next_line().unwrap().unwrap().text, b"two");
    assert_eq!(reader.next_line().unwrap(), None);
}
