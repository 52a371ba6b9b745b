//! The value of `--on-busy`.

use errand_model::event::OnBusy;

/// Choice while another run of the session is under way.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Busy {
    /// Wait until it is this run's turn (the default)
    Enqueue,
    /// Start nothing, and say which run has the turn
    Reject,
    /// Cancel the runs before this one, and go
    Interrupt,
    /// Cancel the runs before this one, go, and undo what they changed in the session
    Rollback,
}

impl From<Busy> for OnBusy {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Enqueue => Self::Enqueue,
            Busy::Reject => Self::Reject,
            Busy::Interrupt => Self::Interrupt,
            Busy::Rollback => Self::Rollback,
        }
    }
}
