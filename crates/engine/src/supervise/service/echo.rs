//! Output of a service's wakes, forwarded to the terminal of a service in the foreground.

use std::time::Duration;

use errand_agent::log::LogStream;
use errand_agent::target::Chunk;
use errand_model::RunId;
use errand_model::event::WakeReason;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::payload::stored_word;

/// Chunks of one wake in its channel; a full channel holds the agent back.
const CHUNKS: usize = 64;
/// Longest line; a longer one is shown in pieces.
const LINE_LIMIT: usize = 64 * 1024;
/// Longest time for the last lines to be shown.
const LAST_LINES: Duration = Duration::from_secs(3);
/// Last characters of an id that suffice to tell wakes apart, and to find the run.
const SHORT_ID: usize = 6;

/// Returns the label of a wake's lines: the reason of the wake, and the end of its id.
pub fn wake_label(reason: WakeReason, run_id: &RunId) -> String {
    let id = run_id.as_str();
    let short = id.get(id.len().saturating_sub(SHORT_ID)..).unwrap_or(id);
    format!("{} {short}", stored_word(&reason))
}

/// Forwards the output of wakes, line by line.
#[derive(Debug)]
pub(super) struct Echo {
    screen: Option<mpsc::Sender<Chunk>>,
    forwarders: JoinSet<()>,
}

impl Echo {
    pub(super) fn to(screen: Option<mpsc::Sender<Chunk>>) -> Self {
        Self { screen, forwarders: JoinSet::new() }
    }

    /// Returns a channel for a wake's output; `None` if the output is not shown.
    pub(super) fn begin(
        &mut self,
        reason: WakeReason,
        run_id: &RunId,
    ) -> Option<mpsc::Sender<Chunk>> {
        while self.forwarders.try_join_next().is_some() {}
        let screen = self.screen.clone()?;
        let (tee, chunks) = mpsc::channel(CHUNKS);
        self.forwarders.spawn(forward(wake_label(reason, run_id), chunks, screen));
        Some(tee)
    }

    /// Waits until the last lines are shown.
    pub(super) async fn finish(&mut self) {
        let shown = async { while self.forwarders.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_LINES, shown).await.is_err() {
            self.forwarders.shutdown().await;
        }
    }
}

async fn forward(label: String, mut chunks: mpsc::Receiver<Chunk>, screen: mpsc::Sender<Chunk>) {
    let mut open = [const { Vec::new() }; 2];
    while let Some(chunk) = chunks.recv().await {
        let place = usize::from(chunk.stream != LogStream::Stdout);
        let Some(line) = open.get_mut(place) else { continue };
        line.extend_from_slice(&chunk.bytes);
        let whole = match line.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => line.drain(..=end).collect(),
            None if line.len() > LINE_LIMIT => std::mem::take(line),
            None => continue,
        };
        if send(&label, chunk.stream, &whole, &screen).await.is_none() {
            return;
        }
    }
    for (rest, stream) in open.into_iter().zip([LogStream::Stdout, LogStream::Stderr]) {
        if !rest.is_empty() && send(&label, stream, &rest, &screen).await.is_none() {
            return;
        }
    }
}

/// Sends lines with their label; `None` if the receiver is gone.
async fn send(
    label: &str,
    stream: LogStream,
    lines: &[u8],
    screen: &mpsc::Sender<Chunk>,
) -> Option<()> {
    let mut bytes = Vec::with_capacity(lines.len() + label.len() + 4);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        bytes.extend_from_slice(label.as_bytes());
        bytes.extend_from_slice(b" | ");
        bytes.extend_from_slice(line);
    }
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    screen.send(Chunk { stream, bytes }).await.ok()
}
