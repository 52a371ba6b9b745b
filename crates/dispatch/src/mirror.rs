//! Mirror of a task's log: the lines of the dispatcher's log become output of the run.

use errand_agent::target::OutputSink;

/// Longest line that is taken: the log cuts longer ones, so this is one that is not from a log.
const LINE_BYTES: usize = 64 * 1_024;

/// Mirror of the log of one task.
#[derive(Debug)]
pub(crate) struct LogMirror {
    stdout: OutputSink,
    stderr: OutputSink,
    /// Bytes of the dispatcher's log whose lines were taken.
    offset: u64,
    /// Bytes of a line that is not complete yet.
    rest: Vec<u8>,
}

/// A line of the dispatcher's log.
#[derive(Debug, PartialEq, Eq)]
struct TaskLine<'a> {
    is_stderr: bool,
    /// False for a part of a line that goes on.
    is_whole: bool,
    text: &'a [u8],
}

impl LogMirror {
    pub(crate) fn new([stdout, stderr]: [OutputSink; 2]) -> Self {
        Self { stdout, stderr, offset: 0, rest: Vec::new() }
    }

    /// Returns the place in the dispatcher's log from which to go on, after a connection broke.
    pub(crate) fn resume(&mut self) -> u64 {
        self.rest.clear();
        self.offset
    }

    /// Takes bytes of the dispatcher's log.
    pub(crate) async fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.rest);
        let mut lines = held.as_slice();
        while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = lines.split_at(end + 1);
            self.offset = self.offset.saturating_add(u64::try_from(line.len()).unwrap_or(0));
            if let Some(line) = parse(&line[..end]) {
                self.line(&line).await;
            }
            lines = rest;
        }
        let is_endless = lines.len() > LINE_BYTES;
        self.rest = if is_endless { Vec::new() } else { lines.to_vec() };
    }

    async fn line(&mut self, line: &TaskLine<'_>) {
        let sink = if line.is_stderr { &mut self.stderr } else { &mut self.stdout };
        sink.push(line.text).await;
        if line.is_whole {
            sink.push(b"\n").await;
        } else {
            sink.flush();
        }
    }

    /// Forwards the rest; returns both sinks.
    pub(crate) async fn finish(mut self) -> [OutputSink; 2] {
        self.stdout.finish_text().await;
        self.stderr.finish_text().await;
        [self.stdout, self.stderr]
    }
}

/// Parses a line `<time> <stream> <F|P> <text>`; `None` for errand's own lines.
fn parse(line: &[u8]) -> Option<TaskLine<'_>> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let (_time, stream, flag) = (words.next()?, words.next()?, words.next()?);
    let text = words.next().unwrap_or_default();
    let is_stderr = match stream {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    Some(TaskLine { is_stderr, is_whole: flag == b"F", text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_agent_are_told_from_those_of_errand() {
        let line = |text: &'static str| parse(text.as_bytes());
        let whole = TaskLine { is_stderr: false, is_whole: true, text: b"a b  c" };
        assert_eq!(line("2026-11-22T18:00:03.1Z stdout F a b  c"), Some(whole));
        let part = TaskLine { is_stderr: true, is_whole: false, text: b"" };
        assert_eq!(line("2026-11-22T18:00:03.1Z stderr P "), Some(part));
        assert_eq!(line("2026-11-22T18:00:03.1Z system F attempt 1 began (initial)"), None);
        assert_eq!(line("no line of a log"), None);
        assert_eq!(line(""), None);
    }
}
