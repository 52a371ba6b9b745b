//! Following a log while it is written.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::log::{Followed, LogReader, Query, SegmentLimits, Writer, follow, older};
use errand_agent::os::watch::Watch;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::support::{LIMIT, Place};

/// Follows until `ended`, and returns what was shown.
async fn followed(place: &Place, ended: oneshot::Receiver<()>) -> String {
    let mut reader = LogReader::open(&place.log_path(), Query::default()).unwrap();
    let mut out = Vec::new();
    let ended = async {
        ended.await.unwrap();
    };
    let following = follow(&mut reader, ended, |what| {
        if let Followed::Line(line) = what {
            line.render(false, &mut out);
        }
        Ok(())
    });
    timeout(LIMIT, following).await.unwrap().unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn a_follower_misses_nothing_while_a_writer_writes_and_rotates() {
    let place = Place::new();
    let lines = 20_000;
    // With so many segments, a follower on a busy machine cannot be left behind.
    let limits = SegmentLimits { segment_bytes: 20_000, segments: 1_000 };
    let writer = Writer::with_limits(&place.log_path(), limits).unwrap();
    let (end, ended) = oneshot::channel();
    let writing = tokio::task::spawn_blocking(move || {
        for number in 0..lines {
            writer.system(&format!("line {number}"));
        }
        end.send(()).unwrap();
    });
    let shown = followed(&place, ended).await;
    writing.await.unwrap();
    let expect: String = (0..lines).map(|number| format!("line {number}\n")).collect();
    assert!(shown == expect, "{} of {} bytes", shown.len(), expect.len());
}

#[tokio::test]
async fn a_follower_that_is_left_behind_continues_with_the_kept_lines() {
    let place = Place::new();
    let limits = SegmentLimits { segment_bytes: 1_000, segments: 3 };
    let writer = Writer::with_limits(&place.log_path(), limits).unwrap();
    writer.system("first");
    let mut reader = LogReader::open(&place.log_path(), Query::default()).unwrap();
    assert_eq!(reader.next_line().unwrap().unwrap().text, b"first");
    for number in 0..1_000 {
        writer.system(&format!("line {number}"));
    }
    let mut last = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        last = line.text.to_vec();
    }
    assert_eq!(last, b"line 999");
}

#[tokio::test]
async fn a_log_is_followed_from_before_it_exists_to_after_its_end() {
    let place = Place::new();
    let (end, ended) = oneshot::channel();
    let path = place.log_path();
    let writing = async move {
        let writer = Arc::new(Writer::open(&path).unwrap());
        writer.system("one");
        tokio::task::yield_now().await;
        writer.system("two");
        end.send(()).unwrap();
        // The run's end is known before this line is written, but the follower has not checked it
        // yet.
        writer.system("three");
    };
    let (shown, ()) = tokio::join!(followed(&place, ended), writing);
    assert_eq!(shown, "one\ntwo\nthree\n");
}

#[tokio::test]
async fn a_prompt_is_shown_before_its_line_ends() {
    let place = Place::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.path("fifo"), 0o600.into()).unwrap();
    let running = place.shell("printf 'name? '; read x < fifo; echo \"$x\"");
    let mut reader = LogReader::open(&place.log_path(), Query::default()).unwrap();
    let (saw, seen) = oneshot::channel();
    let mut saw = Some(saw);
    let mut out = Vec::new();
    let fifo = place.path("fifo");
    let answering = async move {
        seen.await.unwrap();
        tokio::task::spawn_blocking(move || std::fs::write(fifo, "errand\n"))
            .await
            .unwrap()
            .unwrap();
    };
    let following = follow(
        &mut reader,
        async {
            let (exit, ()) = tokio::join!(running.wait(), answering);
            assert_eq!(exit.unwrap().code, Some(0));
        },
        |what| {
            match what {
                Followed::Line(line) => line.render(false, &mut out),
                Followed::Idle if out == b"name? " => {
                    if let Some(saw) = saw.take() {
                        saw.send(()).map_err(|()| io::Error::other("nobody waits"))?;
                    }
                }
                Followed::Idle => {}
            }
            Ok(())
        },
    );
    timeout(LIMIT, following).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "name? errand\n");
}

#[tokio::test]
async fn a_follower_ends_when_its_output_is_closed() {
    let place = Place::new();
    Writer::open(&place.log_path()).unwrap().system("one");
    let mut reader = LogReader::open(&place.log_path(), Query::default()).unwrap();
    let result =
        follow(&mut reader, std::future::pending(), |_| Err(io::ErrorKind::BrokenPipe.into()));
    let error = timeout(LIMIT, result).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_watch_reports_changes_and_nothing_else() {
    let place = Place::new();
    let path = place.path("file");
    let mut watch = Watch::new().unwrap();
    watch.directory(place.dir.path()).unwrap();
    assert!(timeout(Duration::from_millis(30), watch.changed()).await.is_err());
    std::fs::write(&path, "x").unwrap();
    timeout(LIMIT, watch.changed()).await.unwrap().unwrap();
    watch.file(&path).unwrap();
    std::fs::write(&path, "y").unwrap();
    timeout(LIMIT, watch.changed()).await.unwrap().unwrap();
    assert!(watch.file(&place.path("missing")).is_err());
}

#[test]
fn a_log_reader_continues_at_its_last_position_after_rotations() {
    let place = Place::new();
    let limits = SegmentLimits { segment_bytes: 300, segments: 16 };
    let writer = Writer::with_limits(&place.log_path(), limits).unwrap();
    let mut read = Vec::new();
    let mut at = 0;
    for round in 0..40 {
        for line in 0..round % 4 {
            writer.system(&format!("round {round}, line {line}"));
        }
        // A new reader in each round, which reads only a part of the log.
        let mut reader = LogReader::open_at(&place.log_path(), at).unwrap();
        assert_eq!(reader.place(), at);
        for _ in 0..2 {
            if let Some(line) = reader.next_as_written().unwrap() {
                read.extend_from_slice(line);
            }
        }
        at = reader.place();
        assert_eq!(u64::try_from(read.len()).unwrap(), at);
    }
    let mut reader = LogReader::open_at(&place.log_path(), at).unwrap();
    while let Some(line) = reader.next_as_written().unwrap() {
        read.extend_from_slice(line);
    }
    let mut whole = Vec::new();
    for (_, segment) in older(&place.log_path()).into_iter().rev() {
        whole.extend(std::fs::read(segment).unwrap());
    }
    whole.extend(std::fs::read(place.log_path()).unwrap());
    assert_eq!(String::from_utf8(read).unwrap(), String::from_utf8(whole).unwrap());
    let tail = Query { tail: Some(1), ..Query::default() };
    let mut last = LogReader::open(&place.log_path(), tail).unwrap();
    let before = last.place();
    let length = u64::try_from(last.next_as_written().unwrap().unwrap().len()).unwrap();
    assert_eq!(before + length, reader.place());
    let mut beyond = LogReader::open_at(&place.log_path(), reader.place() + 7).unwrap();
    assert_eq!((beyond.place(), beyond.next_as_written().unwrap()), (reader.place(), None));
}
