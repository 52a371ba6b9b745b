//! Connection with orders, files and reports.

use std::ffi::OsString;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use errand_shim::Order;
use errand_shim::link::{ErrandFrame, Purpose};

use super::super::event::Arrival;
use super::super::outbox::Outbox;
use super::agent_api::AgentApiSocket;
use super::files;
use super::secret::{PodSecret, SealedStream, read_record};

/// First wait before another connection; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait before another connection.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Trees that are sent back after the end of the command.
pub(super) type ReturnedTrees = Arc<Mutex<Vec<OsString>>>;

/// Connection to errand, which lasts as long as the Pod.
pub(super) struct Connection {
    pub(super) secret: Arc<PodSecret>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) arrive: Sender<Arrival>,
}

/// Connection that is kept, and what came over it so far.
struct Kept {
    connection: Connection,
    returned: ReturnedTrees,
    is_launched: bool,
    unwritten: Option<i32>,
    api: Option<AgentApiSocket>,
}

/// A connection with the list that its frames fill.
pub(super) struct Keeper(Kept);

impl Connection {
    pub(super) fn keeper(self) -> (Keeper, ReturnedTrees) {
        let returned = ReturnedTrees::default();
        let kept = Kept {
            connection: self,
            returned: Arc::clone(&returned),
            is_launched: false,
            unwritten: None,
            api: None,
        };
        (Keeper(kept), returned)
    }
}

impl Keeper {
    /// Connects again and again, for as long as the process lives.
    pub(super) fn keep(self) {
        let mut kept = self.0;
        let mut pause = FIRST_PAUSE;
        loop {
            if let Ok(stream) = kept.connection.secret.connect(Purpose::Frames) {
                // Every error means that the connection is lost.
                let has_come = kept.converse(stream).unwrap_or_else(|(has_come, _)| has_come);
                kept.connection.outbox.disconnected();
                if let Some(api) = &kept.api {
                    api.hide();
                }
                if has_come {
                    pause = FIRST_PAUSE;
                }
            }
            thread::sleep(pause);
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}

impl Kept {
    /// Reads frames until the connection is lost; the error has whether any frame came.
    fn converse(&mut self, stream: SealedStream) -> Result<bool, (bool, io::Error)> {
        let SealedStream { mut stream, sealer, mut opener } = stream;
        let written = stream.try_clone().map_err(|error| (false, error))?;
        self.connection.outbox.connected(written, sealer, self.is_launched);
        if let Some(api) = &self.api {
            api.show();
        }
        let mut has_come = false;
        loop {
            let record =
                read_record(&mut stream, &mut opener).map_err(|error| (has_come, error))?;
            let frame = ErrandFrame::decode(&record);
            let frame = frame.map_err(|error| (has_come, io::Error::other(error)))?;
            has_come = true;
            self.take(frame);
        }
    }

    fn take(&mut self, frame: ErrandFrame) {
        let arrival = match frame {
            ErrandFrame::Refused => Arrival::Refused,
            ErrandFrame::File(piece) => {
                if let Err(error) = files::write(&piece) {
                    self.unwritten.get_or_insert(error.raw_os_error().unwrap_or_default());
                }
                return;
            }
            ErrandFrame::Return(roots) => {
                *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = roots;
                return;
            }
            ErrandFrame::Taken(place) if self.connection.outbox.taken(place) => {
                Arrival::Order(Order::Dismiss)
            }
            ErrandFrame::Taken(_) => return,
            ErrandFrame::Order(Order::Launch(_)) if self.is_launched => return,
            ErrandFrame::Order(Order::Launch(order)) => {
                self.is_launched = true;
                let secret = &self.connection.secret;
                match (self.unwritten, AgentApiSocket::serve(&order, secret)) {
                    (Some(errno), _) => Arrival::Unwritten(errno),
                    (None, Err(error)) => {
                        Arrival::Unwritten(error.raw_os_error().unwrap_or_default())
                    }
                    (None, Ok(api)) => {
                        self.api = api;
                        Arrival::Order(Order::Launch(order))
                    }
                }
            }
            ErrandFrame::Order(order) => Arrival::Order(order),
        };
        // Without a receiver the process is ending.
        drop(self.connection.arrive.send(arrival));
    }
}
