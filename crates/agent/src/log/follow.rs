//! Following of a log while it is written.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;

use super::reader::{LogLine, LogReader};
use crate::os::watch::Watch;

/// Lines shown before other tasks get their turn.
const LINES_PER_TURN: u32 = 1_024;

/// An item of a followed log.
#[derive(Clone, Copy, Debug)]
pub enum Followed<'a> {
    /// A line, or a piece of one.
    Line(LogLine<'a>),
    /// There are no more lines for now: a good moment to flush.
    Idle,
}

/// Shows all lines of `reader` and all that are appended, until `ended` is ready; then those
/// written until that moment. New segments are followed too.
///
/// # Errors
///
/// If the log cannot be read, and any error of `show`.
pub async fn follow(
    reader: &mut LogReader,
    ended: impl Future<Output = ()>,
    mut show: impl FnMut(Followed<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut ended = pin!(ended);
    let mut has_ended = false;
    let path = reader.path().to_owned();
    let mut watch = Watch::new()?;
    watch.directory(path.parent().unwrap_or(Path::new(".")))?;
    loop {
        // The watch starts before the read, so that no write in between is missed.
        match watch.file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        reader.set_following(!has_ended);
        let mut shown = 0_u32;
        while let Some(line) = reader.next_line()? {
            show(Followed::Line(line))?;
            shown = shown.wrapping_add(1);
            if shown.is_multiple_of(LINES_PER_TURN) {
                tokio::task::yield_now().await;
            }
        }
        show(Followed::Idle)?;
        if has_ended {
            return Ok(());
        }
        tokio::select! {
            () = &mut ended => has_ended = true,
            changed = watch.changed() => changed?,
        }
    }
}
