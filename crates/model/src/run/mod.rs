//! Runs: the fold of a journal, and the decisions about it.
//!
//! `state.rs` has the states, `apply.rs` the only way in which they change, `command.rs` the list
//! of commands. Each command has a file of its own that decides which events it leads to.

mod adopt;
mod apply;
mod approve;
mod attempt;
mod await_secrets;
mod call_summary;
mod cancel;
mod come_back;
mod command;
mod coordinate;
mod counters;
mod decision;
mod dispatch_retry;
mod end_attempt;
mod expire;
mod fold;
mod hand_back;
mod input;
mod lose;
mod meter;
mod park;
mod pause;
mod raise;
mod rejection;
mod report;
mod restart;
mod resume;
mod service;
mod session;
mod start_attempt;
mod state;
mod status;
mod steer;
mod wake;
mod working_time;

pub use adopt::AdoptAttempt;
pub use apply::IllegalTransition;
pub use approve::{DecideApproval, QUESTION_LIMIT, RequestApproval};
pub use attempt::{AttemptEnd, AttemptState, RunAttempt};
pub use await_secrets::AwaitSecrets;
pub use call_summary::CallSummary;
pub use cancel::Cancel;
pub use come_back::CRASH_LIMIT;
pub use command::{CallerCommand, Command};
pub use counters::Counters;
pub use decision::{Decision, Effect};
pub use end_attempt::{AttemptOutcome, EndAttempt, EndedTask};
pub use expire::Expire;
pub use hand_back::HandBack;
pub use input::{ProvideInput, RequestInput};
pub use lose::Lose;
pub use meter::{DeniedCall, Meter, WARN_PERCENT};
pub use park::PARKED_EXIT_CODE;
pub use pause::Pause;
pub use raise::Raise;
pub use rejection::{QuestionKind, Rejection};
pub use report::AttemptReport;
pub use restart::Restart;
pub use resume::Resume;
pub use session::MESSAGE_LIMIT_BYTES;
pub use start_attempt::{AttemptUp, StartAttempt};
pub use state::{
    Approval, Artifact, BomRef, Checkpoint, Inquiry, LOSS_LIMIT, Reply, Run, Service,
    SessionListener, SessionSchedule, Status, Verdict,
};
pub use steer::{BudgetSteering, SteeredLimit};
pub use wake::{BindListener, EndWake, FireWake, SkipWake, WakeService};

pub use crate::accounting::TokenUsage;
pub use crate::stopwatch::Stopwatch;
