//! Reports of a Pod on their way to errand: kept until errand has them in its log.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use errand_shim::Report;
use errand_shim::link::{PodFrame, RecordSealer};

/// Bytes of reports that wait while errand does not take them; then the agent waits.
const WINDOW_BYTES: usize = 1_024 * 1_024;
/// Longest piece of reports in one frame.
const FRAME_BYTES: usize = 64 * 1_024;

/// Reports on their way to errand.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    has_room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that errand has not taken yet.
    kept: VecDeque<u8>,
    /// Place of the first kept byte among all bytes.
    begin: u64,
    /// Kept bytes that were sent over the connection.
    sent: usize,
    connection: Option<(TcpStream, RecordSealer)>,
    has_last: bool,
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a report; waits while too many bytes are kept.
    pub(super) fn push(&self, report: &Report) {
        let mut state = self.state();
        while state.kept.len() >= WINDOW_BYTES {
            state = self.has_room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.kept.extend(report.encode());
        state.has_last |= matches!(report, Report::Ended(_) | Report::NotStarted(_));
        state.send();
    }

    /// Sends everything that is kept over a new connection.
    pub(super) fn connected(&self, stream: TcpStream, sealer: RecordSealer, is_launched: bool) {
        let mut state = self.state();
        state.connection = Some((stream, sealer));
        state.sent = 0;
        state.write(&PodFrame::CheckIn { is_launched });
        state.send();
    }

    pub(super) fn disconnected(&self) {
        self.state().lose();
    }

    /// Drops the bytes before `place`. Returns true once errand has the last report.
    pub(super) fn taken(&self, place: u64) -> bool {
        let mut state = self.state();
        let taken = usize::try_from(place.saturating_sub(state.begin)).unwrap_or(usize::MAX);
        let taken = taken.min(state.sent);
        state.kept.drain(..taken);
        state.sent -= taken;
        state.begin += u64::try_from(taken).unwrap_or_default();
        self.has_room.notify_all();
        state.has_last && state.kept.is_empty()
    }
}

impl State {
    /// Sends what was not sent over the connection yet.
    fn send(&mut self) {
        while self.sent < self.kept.len() && self.connection.is_some() {
            let bytes: Vec<u8> =
                self.kept.iter().skip(self.sent).take(FRAME_BYTES).copied().collect();
            self.sent += bytes.len();
            let sent = u64::try_from(self.sent - bytes.len()).unwrap_or_default();
            self.write(&PodFrame::Reports { at: self.begin + sent, bytes });
        }
    }

    fn write(&mut self, frame: &PodFrame) {
        let Some((stream, sealer)) = &mut self.connection else { return };
        let written = sealer.seal(&frame.encode()).map(|record| stream.write_all(&record));
        if !matches!(written, Ok(Ok(()))) {
            self.lose();
        }
    }

    /// Closes the connection: the thread that reads it makes another one.
    fn lose(&mut self) {
        if let Some((stream, _)) = self.connection.take() {
            // An error means that it is closed.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}
