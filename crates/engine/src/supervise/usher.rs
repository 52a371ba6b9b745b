//! Orders to a supervising process: signals, as levels that anyone may look at.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a supervising process was told so far. Counts, so that nothing is told twice or missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// How often it was told to look at its runs' requests (SIGUSR1).
    pub looks: u64,
    /// How often it was told to end (SIGTERM, or SIGHUP in the background).
    pub drains: u64,
    /// How often a person interrupted it (SIGINT, or SIGHUP in the foreground).
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

/// The meaning of SIGHUP: the terminal is gone, or an administrator sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUp {
    /// As SIGINT, for a run in the foreground.
    Interrupts,
    /// As SIGTERM, for a process that serves, works or supervises in the background.
    Drains,
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
    /// Listens for SIGUSR1, SIGTERM, SIGINT and SIGHUP. To be called before any lease is taken: a
    /// signal that comes before would end the process. A SIGHUP that this process was started to
    /// ignore (`nohup`) stays ignored.
    ///
    /// # Errors
    ///
    /// If the signals cannot be listened for.
    pub fn listen(hang_up: HangUp) -> std::io::Result<Self> {
        let orders = watch::Sender::new(Orders::default());
        let mut listeners = JoinSet::new();
        let mut kinds: Vec<(SignalKind, Note)> = vec![
            (SignalKind::user_defined1(), |orders| orders.looks += 1),
            (SignalKind::terminate(), |orders| orders.drains += 1),
            (SignalKind::interrupt(), |orders| orders.interrupts += 1),
        ];
        if !errand_agent::os::ignores_hang_up() {
            kinds.push((
                SignalKind::hangup(),
                match hang_up {
                    HangUp::Interrupts => |orders| orders.interrupts += 1,
                    HangUp::Drains => |orders| orders.drains += 1,
                },
            ));
        }
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
