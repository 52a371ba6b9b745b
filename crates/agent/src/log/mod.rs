//! The log of a run: the agent's output, and errand's own messages.
//!
//! The format is that of the Container Runtime Interface, one line each: `<RFC 3339 with
//! nanoseconds, UTC> <stdout|stderr|system> <F|P> <text>`, where `P` is a part of a line that
//! continues in the stream's next line. Text is bytes and kept as it is.

mod copy;
mod follow;
mod frame;
mod incoming;
pub mod marker;
mod merged;
mod parse;
mod printed;
mod reader;
mod segments;
mod tail;
mod writer;

use std::fmt;

pub use copy::Copy;
pub use follow::{Followed, follow};
pub(crate) use frame::Framer;
pub use incoming::Incoming;
pub use merged::{MergeStep, Merged};
pub(crate) use printed::{PrintedLine, each_printed};
pub use reader::{LogLine, LogPiece, LogReader, Query};
pub use segments::{SegmentLimits, older, remove};
pub use tail::Counted;
pub use writer::Writer;

/// Length limit of the text in one line of the log; a longer line of output is written in parts.
pub const PART_BYTES: usize = 16 * 1_024;

/// Origin of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogStream {
    /// The agent's standard output.
    Stdout,
    /// The agent's standard error.
    Stderr,
    /// Errand itself.
    System,
}

impl LogStream {
    /// Returns the word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::System => "system",
        }
    }
}

impl fmt::Display for LogStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Reproducible pseudo-random numbers.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
        }

        /// Output of an agent: mostly short lines, some longer than a part, some empty.
        fn output(&mut self, lines: usize) -> Vec<u8> {
            let mut text = Vec::new();
            for _ in 0..lines {
                let bound = [1, 80, 80, 80, 40_000][self.below(5)];
                let length = self.below(bound);
                text.extend((0..length).map(|_| [b'a', b' ', 0xff, b'\r'][self.below(4)]));
                text.push(b'\n');
            }
            text.truncate(text.len() - self.below(2));
            text
        }
    }

    /// Text that a reader shows of each stream, with a newline at the end.
    #[derive(Default)]
    struct Seen([Vec<u8>; 2]);

    impl Seen {
        fn read(&mut self, reader: &mut LogReader) {
            while let Some(line) = reader.next_line().unwrap() {
                let text = match line.stream {
                    Some(LogStream::Stdout) => &mut self.0[0],
                    Some(LogStream::Stderr) => &mut self.0[1],
                    Some(LogStream::System) | None => panic!("{line:?}"),
                };
                text.extend_from_slice(line.text);
                if matches!(line.part, LogPiece::Whole | LogPiece::End) {
                    text.push(b'\n');
                }
            }
        }
    }

    #[test]
    fn output_is_restored_from_any_cuts_and_reads() {
        for seed in 1..40 {
            let mut dice = Dice(seed);
            let output = [dice.output(40), dice.output(40)];
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("run.log");
            let limits = SegmentLimits { segment_bytes: 60_000, segments: 1_000 };
            let writer = Writer::with_limits(&path, limits).unwrap();
            let mut framers = [Framer::new(LogStream::Stdout), Framer::new(LogStream::Stderr)];
            let mut rest = [&output[0][..], &output[1][..]];
            let mut seen = Seen::default();
            let mut reader = LogReader::open(&path, Query::default()).unwrap();
            reader.set_following(true);
            while rest.iter().any(|rest| !rest.is_empty()) {
                let stream = dice.below(2);
                let bound = [3, 100, 20_000][dice.below(3)];
                let (now, later) = rest[stream].split_at(dice.below(bound).min(rest[stream].len()));
                framers[stream].push(now, &mut |lines| writer.append(lines));
                rest[stream] = later;
                if dice.below(4) == 0 {
                    framers[stream].flush(&mut |lines| writer.append(lines));
                }
                if dice.below(4) == 0 {
                    seen.read(&mut reader);
                }
            }
            for framer in &mut framers {
                framer.finish(&mut |lines| writer.append(lines));
            }
            reader.set_following(false);
            seen.read(&mut reader);
            let mut at_once = Seen::default();
            at_once.read(&mut LogReader::open(&path, Query::default()).unwrap());
            for (stream, mut expect) in output.into_iter().enumerate() {
                if !expect.is_empty() && !expect.ends_with(b"\n") {
                    expect.push(b'\n');
                }
                assert!(seen.0[stream] == expect, "followed, seed {seed}");
                assert!(at_once.0[stream] == expect, "at once, seed {seed}");
            }
        }
    }

    #[test]
    fn a_follower_awaits_the_rest_of_a_partial_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.log");
        let mut file = std::fs::File::create(&path).unwrap();
        let mut reader = LogReader::open(&path, Query::default()).unwrap();
        reader.set_following(true);
        file.write_all(b"2026-01-01T00:00:00.000000000Z std").unwrap();
        assert_eq!(reader.next_line().unwrap(), None);
        file.write_all(b"out F whole\n").unwrap();
        assert_eq!(reader.next_line().unwrap().unwrap().text, b"whole");
        file.write_all(b"torn").unwrap();
        assert_eq!(reader.next_line().unwrap(), None);
        reader.set_following(false);
        assert_eq!(reader.next_line().unwrap().unwrap().text, b"torn");
        assert_eq!(reader.next_line().unwrap(), None);
    }
}
