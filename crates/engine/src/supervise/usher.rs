//! Orders to a supervising process: signals, as levels that anyone may look at.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a supervising process was told so far. Counts, so that nothing is told twice or missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// How often it was told to look at its runs' requests (SIGUSR1).
    pub looks: u64,
    /// How often it was told to end (SIGTERM).
    pub drains: u64,
    /// How often a person interrupted it (SIGINT).
    pub interrupts: u64,
}

impl Orders {
    /// Whether it is to hand on what it has and end.
    pub const fn is_drained(&self) -> bool {
        self.drains > 0
    }

    /// Whether what it runs is to be cancelled.
    pub const fn is_interrupted(&self) -> bool {
        self.interrupts > 0
    }
}

/// How a signal changes the orders.
type Note = fn(&mut Orders);

/// Turns the process's signals into [`Orders`]. Dropped, it listens no more.
#[derive(Debug)]
pub struct Usher {
    orders: watch::Sender<Orders>,
    _listeners: JoinSet<()>,
}

impl Usher {
    /// Listens for SIGUSR1, SIGTERM and SIGINT. To be called before any lease is taken: a signal
    /// that comes before would end the process.
    ///
    /// # Errors
    ///
    /// If the signals cannot be listened for.
    pub fn listen() -> std::io::Result<Self> {
        let orders = watch::Sender::new(Orders::default());
        let mut listeners = JoinSet::new();
        let kinds: [(SignalKind, Note); 3] = [
            (SignalKind::user_defined1(), |orders| orders.looks += 1),
            (SignalKind::terminate(), |orders| orders.drains += 1),
            (SignalKind::interrupt(), |orders| orders.interrupts += 1),
        ];
        for (kind, note) in kinds {
            let mut stream = signal(kind)?;
            let orders = orders.clone();
            listeners.spawn(async move {
                while stream.recv().await.is_some() {
                    orders.send_modify(note);
                }
            });
        }
        Ok(Self { orders, _listeners: listeners })
    }

    /// The orders, from the first on.
    pub fn orders(&self) -> watch::Receiver<Orders> {
        let mut receiver = self.orders.subscribe();
        receiver.mark_changed();
        receiver
    }
}
