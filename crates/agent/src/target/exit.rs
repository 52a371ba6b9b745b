//! End of an attempt, as its target saw it.

use std::time::Duration;

use errand_model::error_code::ErrorCode;

use super::Stdout;

/// End of an attempt's agent.
#[derive(Clone, Debug)]
pub struct Exit {
    /// Exit code of the agent, if it exited.
    pub code: Option<i32>,
    /// Signal that ended the agent otherwise.
    pub signal: Option<i32>,
    /// Time and memory that the attempt used.
    pub usage: ExitUsage,
    /// Bytes that the agent wrote to stdout; empty where stdout was a conversation.
    pub stdout: Stdout,
    /// Last lines that the agent wrote to stderr, with secrets masked: at most
    /// [`STDERR_TAIL_LINES`](super::STDERR_TAIL_LINES) and
    /// [`STDERR_TAIL_BYTES`](super::STDERR_TAIL_BYTES); `None`: it wrote none.
    pub stderr_tail: Option<String>,
    /// Processes that the agent left behind and that had to be ended.
    pub stragglers: usize,
    /// Processes that the kernel killed, because the attempt had used up its memory.
    pub oom_kills: u64,
    /// Failure of the place in which the agent lived, which ended the agent; `None`: it was not that.
    pub failure: Option<PlaceFailure>,
}

/// Failure of the place in which an agent lived: a Pod that was evicted, for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceFailure {
    /// Code of the failure.
    pub code: ErrorCode,
    /// Text for people.
    pub message: String,
}

/// Time and memory that an attempt used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitUsage {
    /// Time from the start until the agent ended.
    pub wall: Duration,
    /// User and system time of the agent and of all descendants that it waited for.
    pub cpu: Duration,
    /// Highest resident memory of any one process. The kernel includes the supervisor's own memory
    /// at the time of the start, so that small programs appear as large as the supervisor.
    pub max_rss_bytes: u64,
}
