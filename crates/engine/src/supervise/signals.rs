//! Signals to a supervising process, as a level that any task may read.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Signals that a supervising process got so far. Counts, so that none is acted on twice or missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlState {
    /// Number of times that it was told to read its runs' requests (SIGUSR1).
    pub looks: u64,
    /// Number of times that it was asked to shut down (SIGTERM, or SIGHUP in the background).
    pub drains: u64,
    /// Number of times that a person interrupted it (SIGINT, or SIGHUP in the foreground).
    pub interrupts: u64,
}

impl ControlState {
    /// Returns whether the process has to hand its runs on and end.
    pub const fn is_drained(&self) -> bool {
        self.drains > 0
    }

    /// Returns whether the runs of the process are to be cancelled.
    pub const fn is_interrupted(&self) -> bool {
        self.interrupts > 0
    }
}

/// Meaning of SIGHUP: the terminal is gone, or an administrator sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUp {
    /// Interrupt, as SIGINT, for a run in the foreground.
    Interrupts,
    /// Order to end, as SIGTERM, for a process that serves, works or supervises in the background.
    Drains,
}

/// Change of the control state by a signal.
type Note = fn(&mut ControlState);

/// Listener that turns the process's signals into a [`ControlState`]. Dropped, it listens no more.
#[derive(Debug)]
pub struct SignalListener {
    control: watch::Sender<ControlState>,
    _listeners: JoinSet<()>,
}

impl SignalListener {
    /// Listens for SIGUSR1, SIGTERM, SIGINT and SIGHUP. Must be called before any lease is taken:
    /// an earlier signal would end the process. A SIGHUP that this process was started to ignore
    /// (`nohup`) stays ignored.
    ///
    /// # Errors
    ///
    /// If the kernel does not let the process listen.
    pub fn listen(hang_up: HangUp) -> std::io::Result<Self> {
        let control = watch::Sender::new(ControlState::default());
        let mut listeners = JoinSet::new();
        let mut kinds: Vec<(SignalKind, Note)> = vec![
            (SignalKind::user_defined1(), |control| control.looks += 1),
            (SignalKind::terminate(), |control| control.drains += 1),
            (SignalKind::interrupt(), |control| control.interrupts += 1),
        ];
        if !errand_agent::os::ignores_hang_up() {
            kinds.push((
                SignalKind::hangup(),
                match hang_up {
                    HangUp::Interrupts => |control| control.interrupts += 1,
                    HangUp::Drains => |control| control.drains += 1,
                },
            ));
        }
        for (kind, note) in kinds {
            let mut stream = signal(kind)?;
            let control = control.clone();
            listeners.spawn(async move {
                while stream.recv().await.is_some() {
                    control.send_modify(note);
                }
            });
        }
        Ok(Self { control, _listeners: listeners })
    }

    /// Returns the control state, which counts as changed at first.
    pub fn control(&self) -> watch::Receiver<ControlState> {
        let mut receiver = self.control.subscribe();
        receiver.mark_changed();
        receiver
    }
}
