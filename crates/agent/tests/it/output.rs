//! Output of attempts: the log, the spool file of stdout, the tee, and redaction.

use std::fs;
use std::time::Duration;

use errand_agent::log::{LogStream, Query};
use errand_agent::process::start;
use errand_agent::redact::Redactor;
use errand_agent::target::Stdout;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{LIMIT, Place, eventually, shown};

#[tokio::test]
async fn a_secret_split_over_two_writes_is_masked_everywhere() {
    let mut place = Place::new();
    place.redactor = Redactor::new([("TOKEN", b"correct-horse-battery".as_slice())]);
    let (tee, mut taken) = mpsc::channel(8);
    let mut output = place.output();
    output.tee = Some(tee);
    let script =
        "printf 'a correct-ho'; sleep 0.2; printf 'rse-battery b\\n'; printf 'correct-horse' >&2";
    let running = start(&place.spec(&["/bin/sh", "-c", script]), output).unwrap();
    let exit = running.wait().await.unwrap();
    let mut teed = (Vec::new(), Vec::new());
    while let Some(chunk) = taken.recv().await {
        match chunk.stream {
            LogStream::Stdout => teed.0.extend(chunk.bytes),
            LogStream::Stderr | LogStream::System => teed.1.extend(chunk.bytes),
        }
    }
    assert_eq!(exit.stdout.in_memory(), b"a [redacted:TOKEN] b\n");
    assert_eq!(teed, (exit.stdout.in_memory().to_vec(), b"correct-horse".to_vec()));
    assert_eq!(exit.stderr_tail.as_deref(), Some("correct-horse"));
    let log = fs::read_to_string(place.log_path()).unwrap();
    assert!(!log.contains("horse-battery") && log.contains("F correct-horse\n"), "{log}");
    // The text before the secret was written to the log while the rest of the line was awaited.
    assert!(log.contains("stdout P a \n"), "{log}");
    assert!(shown(&place.log_path(), Query::default()).contains("a [redacted:TOKEN] b\n"));
}

#[tokio::test]
async fn output_that_is_not_utf8_is_kept() {
    let place = Place::new();
    let exit = place.shell("printf 'a\\377\\000b\\r\\n\\n\\303'").wait().await.unwrap();
    assert_eq!(exit.stdout.in_memory(), b"a\xff\0b\r\n\n\xc3");
    let log = fs::read(place.log_path()).unwrap();
    let lines: Vec<&[u8]> =
        log.split(|byte| *byte == b'\n').map(|line| line.get(31..).unwrap_or_default()).collect();
    assert_eq!(lines, [b"stdout F a\xff\0b\r".as_slice(), b"stdout F ", b"stdout F \xc3", b""]);
}

#[tokio::test]
async fn output_without_a_newline_is_in_the_log_while_the_run_lives() {
    let place = Place::new();
    let running = place.shell("printf 'name? '; sleep 1000");
    let waiting = timeout(LIMIT, running.wait());
    let logged = tokio::task::spawn_blocking({
        let path = place.log_path();
        move || {
            eventually(|| fs::read_to_string(&path).ok().filter(|log| log.contains("P name? \n")))
        }
    });
    tokio::select! {
        _ = waiting => panic!("the run does not end"),
        logged = logged => assert!(logged.is_ok()),
    }
    running.stop(LIMIT).await.unwrap();
}

#[tokio::test]
async fn large_output_is_logged_and_kept_whole() {
    let place = Place::new();
    let lines = 200_000;
    let script = format!("seq {lines}; seq {lines} >&2");
    let exit = place.shell(&script).wait().await.unwrap();
    let Stdout::File { size_bytes, .. } = exit.stdout else { panic!("{:?}", exit.stdout) };
    let written: usize = (1..=lines).map(|line| line.to_string().len() + 1).sum();
    assert_eq!(size_bytes, written as u64);
    let last: Vec<String> = (lines - 19..=lines).map(|line| line.to_string()).collect();
    assert_eq!(exit.stderr_tail, Some(last.join("\n")));
    let log = place.log();
    for stream in ["stdout", "stderr"] {
        let prefix = format!("{stream} F ");
        let mut numbers = log.iter().filter_map(|line| line.strip_prefix(&prefix));
        for number in 1..=lines {
            assert_eq!(numbers.next(), Some(number.to_string().as_str()));
        }
        assert_eq!(numbers.next(), None);
    }
}

#[tokio::test]
async fn a_slow_receiver_of_output_slows_the_attempt_down_and_loses_nothing() {
    let place = Place::new();
    let (tee, mut taken) = mpsc::channel(1);
    let mut output = place.output();
    output.tee = Some(tee);
    let spec = place.spec(&["/bin/sh", "-c", "seq 300000; exit 5"]);
    let running = start(&spec, output).unwrap();
    // The receiver reads nothing, and therefore the attempt cannot have ended.
    assert!(timeout(Duration::from_millis(300), running.wait()).await.is_err());
    let reader = async {
        let mut bytes = 0;
        while let Some(chunk) = taken.recv().await {
            bytes += chunk.bytes.len();
        }
        bytes
    };
    let (exit, bytes) = tokio::join!(running.wait(), reader);
    assert_eq!(exit.unwrap().code, Some(5));
    assert_eq!(bytes, (1..=300_000).map(|n: u32| n.to_string().len() + 1).sum::<usize>());
}

#[tokio::test]
async fn a_closed_receiver_of_output_does_not_disturb_the_attempt() {
    let place = Place::new();
    let (tee, taken) = mpsc::channel(1);
    drop(taken);
    let mut output = place.output();
    output.tee = Some(tee);
    let exit =
        start(&place.spec(&["/bin/sh", "-c", "seq 100000"]), output).unwrap().wait().await.unwrap();
    assert_eq!(exit.code, Some(0));
    assert_eq!(place.log().len(), 100_000);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_does_not_end_the_run() {
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/full", place.log_path()).unwrap();
    let output = place.output();
    let log = output.log.clone();
    let exit =
        start(&place.spec(&["/bin/sh", "-c", "seq 1000"]), output).unwrap().wait().await.unwrap();
    assert_eq!(exit.code, Some(0));
    assert!(log.lost_bytes() > 3_000);
}
