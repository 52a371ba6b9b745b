//! The exit codes of `errand`.
//!
//! A foreground run and `errand wait` exit with the agent's own code wherever it has one; what is
//! listed here is what errand itself says.

/// Success.
pub const SUCCESS: u8 = 0;
/// An approval or a check was answered with no.
pub const REJECTED: u8 = 1;
/// The command line, a file or an expression cannot be read. Nothing was created.
pub const USAGE: u8 = 2;
/// An agent parked itself: the run is paused without a process, and a decision starts the next
/// attempt (`EX_TEMPFAIL` of sysexits).
pub const PARKED: u8 = 75;
/// Time was up, for a run or for a wait.
pub const TIMED_OUT: u8 = 124;
/// Errand itself failed, or what it works on does not allow it.
pub const ERRAND_FAILED: u8 = 125;
/// The agent's program is there but cannot be executed.
pub const CANNOT_INVOKE: u8 = 126;
/// The agent's program is not there.
pub const NOT_FOUND: u8 = 127;
/// Added to the number of the signal that ended the agent, as shells do.
pub const SIGNAL_BASE: u8 = 128;
/// A foreground run was interrupted (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;
/// The run was stopped before it had an exit code of its own (128 + SIGTERM).
pub const STOPPED: u8 = 143;

/// Every exit code with its meaning, ascending: what the reference lists.
pub const ALL: &[(u8, &str)] = &[
    (SUCCESS, "it worked"),
    (REJECTED, "an approval or a check was answered with no"),
    (USAGE, "a flag, a file or an expression cannot be read; nothing was created"),
    (PARKED, "the agent parked itself until a person decides"),
    (TIMED_OUT, "time was up, for a run or for a wait"),
    (ERRAND_FAILED, "errand itself failed, or what it works on does not allow it"),
    (CANNOT_INVOKE, "the agent's program cannot be executed"),
    (NOT_FOUND, "the agent's program was not found"),
    (INTERRUPTED, "a foreground run was interrupted"),
    (STOPPED, "the run was stopped"),
];

/// The exit code for an agent that was ended by signal number `signal`.
pub fn of_signal(signal: i32) -> u8 {
    u8::try_from(signal).ok().and_then(|number| SIGNAL_BASE.checked_add(number)).unwrap_or(u8::MAX)
}

/// The exit code for an agent that ended with `code`: the low eight bits, as the system hands
/// them on, but never 0 for what is not 0.
pub fn of_agent(code: i32) -> u8 {
    match u8::try_from(code & 0xff) {
        Ok(0) if code != 0 => 1,
        Ok(low) => low,
        Err(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_are_named_once() {
        assert!(ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn an_agent_that_failed_is_never_taken_for_one_that_did_not() {
        assert_eq!([of_agent(0), of_agent(3), of_agent(255), of_agent(256)], [0, 3, 255, 1]);
        assert_eq!(
            [of_signal(9), of_signal(15), of_signal(2), of_signal(500)],
            [137, 143, 130, 255]
        );
    }
}
