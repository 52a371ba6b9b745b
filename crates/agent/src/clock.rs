//! Clocks: the trait through which all code reads the time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use errand_model::Timestamp;

/// Source of the present time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the present moment.
    fn now(&self) -> Timestamp;

    /// Returns a clock that continues from the present moment, or from `at_least` if that is later.
    /// The returned clock never runs backward, even if this one is set back.
    fn steadied(&self, at_least: Timestamp) -> Arc<dyn Clock>;
}

/// A clock that was set once, and since then counts the time that passes, also while the machine
/// sleeps. Changes of the machine's clock do not affect it.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock {
    set_to: Timestamp,
    set_at: Duration,
}

impl SteadyClock {
    /// Creates a clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { set_to: now, set_at: crate::os::since_boot() }
    }

    fn at_uptime(&self, since_boot: Duration) -> Timestamp {
        self.set_to.plus(since_boot.saturating_sub(self.set_at))
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.at_uptime(crate::os::since_boot())
    }

    fn steadied(&self, at_least: Timestamp) -> Arc<dyn Clock> {
        Arc::new(Self::at(self.now().max(at_least)))
    }
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        crate::os::wall_clock()
    }

    fn steadied(&self, at_least: Timestamp) -> Arc<dyn Clock> {
        Arc::new(SteadyClock::at(self.now().max(at_least)))
    }
}

/// A clock that tests set by hand. Its copies share the time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.as_millis())))
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.store(self.now().plus(by).as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    /// Returns itself: a test sets the time deliberately.
    fn steadied(&self, _: Timestamp) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_clock_counts_elapsed_time_and_never_goes_back() {
        let start = Timestamp::from_millis(1_000_000);
        let clock = SteadyClock { set_to: start, set_at: Duration::from_secs(500) };
        let later = |seconds| clock.at_uptime(Duration::from_secs(seconds));
        assert_eq!(later(500), start);
        assert_eq!(later(507), start.plus(Duration::from_secs(7)));
        assert_eq!(later(499), start);
        let wall = ManualClock::at(start);
        let steady = SteadyClock::at(wall.now());
        wall.set(Timestamp::from_millis(-1));
        assert!(steady.now() >= start);
        let soon = SystemClock.now().plus(Duration::from_secs(3_600));
        assert!(SystemClock.steadied(start).now() < soon);
        assert!(SystemClock.steadied(soon).now() >= soon, "what was is never in the future");
    }
}
