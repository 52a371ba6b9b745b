//! Printed output of two runs, read from their logs.

use std::path::Path;

use errand_agent::log::{LogPiece, LogReader, LogStream, Query};
use errand_model::RunId;
use errand_model::replay::Divergence;

use super::translate::Translate;
use crate::Engine;

/// Longest output that is compared: it has to fit into memory twice.
const STREAM_BYTES: usize = 32 * 1024 * 1024;

/// Printed output of a run.
#[derive(Default)]
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Compares the printed output of two runs, if both logs are whole.
pub(super) fn compare(
    engine: &Engine,
    of: &RunId,
    own: &RunId,
    translate: &Translate,
) -> Result<(), Divergence> {
    let registry = engine.registry();
    let (Some(recorded), Some(found)) =
        (printed(&registry.run_log(of)), printed(&registry.run_log(own)))
    else {
        return Ok(());
    };
    same("stdout", &recorded.stdout, &found.stdout, translate)?;
    same("stderr", &recorded.stderr, &found.stderr, translate)
}

fn same(
    what: &str,
    recorded: &[u8],
    found: &[u8],
    translate: &Translate,
) -> Result<(), Divergence> {
    let translated = translate.bytes(found);
    let found = translated.as_deref().unwrap_or(found);
    if recorded == found {
        return Ok(());
    }
    let [left, right] = [recorded, found].map(String::from_utf8_lossy);
    Err(Divergence::new(what, Some(&left), Some(&right)))
}

/// Returns the printed output in a log; `None` if the log is missing, partial, or too long.
fn printed(path: &Path) -> Option<Printed> {
    if !path.exists() {
        return None;
    }
    let mut reader = LogReader::open(path, Query::default()).ok()?;
    let mut printed = Printed::default();
    while let Some(line) = reader.next_line().ok()? {
        let text = match line.stream? {
            LogStream::Stdout => &mut printed.stdout,
            LogStream::Stderr => &mut printed.stderr,
            LogStream::System => continue,
        };
        if text.len() + line.text.len() > STREAM_BYTES {
            return None;
        }
        text.extend_from_slice(line.text);
        if matches!(line.part, LogPiece::Whole | LogPiece::End) {
            text.push(b'\n');
        }
    }
    Some(printed)
}

/// Lines of stderr that explain the end of an agent.
const LAST_LINES: usize = 6;

/// Returns the last lines of a run's stderr.
pub(super) fn last_words(engine: &Engine, run_id: &RunId) -> String {
    let Some(printed) = printed(&engine.registry().run_log(run_id)) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&printed.stderr);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
