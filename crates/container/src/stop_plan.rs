//! Plan of the stop of an agent in a container or a Pod: the shim asks its processes to end, kills them
//! after the grace period, and what still lives is killed from outside.

use std::time::Duration;

use tokio::time::Instant;

/// Number of SIGTERM.
pub const TERM: i32 = 15;
/// Number of SIGKILL.
pub const KILL: i32 = 9;
/// Time after SIGKILL by the shim from which a container is killed from outside, and between these kills.
pub const SHIM_LIMIT: Duration = Duration::from_secs(2);
/// Exit code from which it stands for a signal, as shells count.
const SIGNAL_BASE: i32 = 128;
/// Highest number of a signal.
const LAST_SIGNAL: i32 = 64;

/// Progress of a planned stop.
#[derive(Debug, Default)]
pub struct StopPlan {
    kill_at: Option<Instant>,
    was_asked: bool,
    killed_at: Option<Instant>,
}

/// Next thing to do for the end of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopStep {
    /// Nothing until the container ends or the plan changes.
    Wait,
    /// Nothing until this time.
    Until(Instant),
    /// Ask all processes to end.
    Ask,
    /// Kill all processes.
    Kill,
    /// Kill the container from outside, again every [`SHIM_LIMIT`].
    KillFromOutside,
    /// Give up: the container outlives SIGKILL.
    Outlived,
}

impl StopPlan {
    /// Plans SIGKILL after a grace period, unless an earlier one is planned.
    pub fn stop(&mut self, grace: Duration) {
        let asked = Instant::now() + grace;
        self.kill_at = Some(self.kill_at.map_or(asked, |at| at.min(asked)));
    }

    /// Returns true once a stop is planned.
    pub const fn is_planned(&self) -> bool {
        self.kill_at.is_some()
    }

    /// Returns the next step, and notes a signal as sent. A container may live for `kill_limit` after
    /// the first SIGKILL.
    pub fn next(&mut self, now: Instant, kill_limit: Duration) -> StopStep {
        let Some(kill_at) = self.kill_at else { return StopStep::Wait };
        match self.killed_at {
            Some(at) if now >= at + kill_limit => StopStep::Outlived,
            Some(at) if now >= at + SHIM_LIMIT => StopStep::KillFromOutside,
            Some(at) => StopStep::Until(at + SHIM_LIMIT),
            None if now >= kill_at => {
                self.killed_at = Some(now);
                StopStep::Kill
            }
            None if !self.was_asked => {
                self.was_asked = true;
                StopStep::Ask
            }
            None => StopStep::Until(kill_at),
        }
    }
}

/// Returns the exit code or the signal that the code of a container stands for.
pub fn code_or_signal(code: i32) -> (Option<i32>, Option<i32>) {
    let signal = code.saturating_sub(SIGNAL_BASE);
    if (1..=LAST_SIGNAL).contains(&signal) { (None, Some(signal)) } else { (Some(code), None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn a_stop_asks_then_kills_then_kills_from_outside_and_gives_up() {
        let mut plan = StopPlan::default();
        let now = Instant::now();
        assert_eq!(plan.next(now, LIMIT), StopStep::Wait);
        plan.stop(Duration::from_secs(5));
        plan.stop(Duration::from_secs(9));
        assert_eq!(plan.next(now, LIMIT), StopStep::Ask);
        let StopStep::Until(kill_at) = plan.next(now, LIMIT) else { panic!("no grace period") };
        assert!(kill_at <= Instant::now() + Duration::from_secs(5), "the shorter one counts");
        assert_eq!(plan.next(kill_at, LIMIT), StopStep::Kill);
        assert_eq!(plan.next(kill_at, LIMIT), StopStep::Until(kill_at + SHIM_LIMIT));
        let late = kill_at + SHIM_LIMIT;
        assert_eq!(plan.next(late, LIMIT), StopStep::KillFromOutside);
        assert_eq!(plan.next(kill_at + LIMIT, LIMIT), StopStep::Outlived);
    }

    #[test]
    fn no_grace_period_means_no_question() {
        let mut plan = StopPlan::default();
        plan.stop(Duration::ZERO);
        assert_eq!(plan.next(Instant::now(), LIMIT), StopStep::Kill);
    }

    #[test]
    fn codes_above_128_stand_for_signals() {
        assert_eq!(code_or_signal(0), (Some(0), None));
        assert_eq!(code_or_signal(128), (Some(128), None));
        assert_eq!(code_or_signal(137), (None, Some(KILL)));
        assert_eq!(code_or_signal(193), (Some(193), None));
        assert_eq!(code_or_signal(i32::MIN), (Some(i32::MIN), None));
    }
}
