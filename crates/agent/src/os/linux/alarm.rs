//! Waiting for a time of the wall clock, also when that clock is set.

use std::time::Duration;

use errand_model::Timestamp;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use super::clock::wall_clock;
use super::readable::readable;

/// Interval at which the wall clock is read if the kernel gives no timer.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Returns once something is due by the wall clock; never if nothing is (`None`).
pub async fn until_due(due_at: Option<Timestamp>) {
    match due_at {
        Some(due_at) => until_wall_clock(due_at).await,
        None => std::future::pending().await,
    }
}

/// Returns once the wall clock shows `at` or later, also when the clock is set. Needs a tokio
/// runtime with I/O.
pub async fn until_wall_clock(at: Timestamp) {
    while wall_clock() < at {
        match alarm(at) {
            // The timer fires at `at`, or when the clock is set; the loop then checks the clock
            // again.
            Some(alarm) => {
                let mut rings = [0; 8];
                if let Ok(mut ready) = alarm.readable().await {
                    match rustix::io::read(alarm.get_ref(), &mut rings) {
                        Ok(_) | Err(Errno::CANCELED) => {}
                        Err(_) => ready.clear_ready(),
                    }
                }
            }
            None => {
                let left = at.since(wall_clock());
                tokio::time::sleep(left.min(LOOK_EVERY)).await;
            }
        }
    }
}

fn alarm(at: Timestamp) -> Option<AsyncFd<std::os::fd::OwnedFd>> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    let timer = timerfd_create(TimerfdClockId::Realtime, flags).ok()?;
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    let moment = Timespec {
        tv_sec: at.as_millis().div_euclid(1_000),
        tv_nsec: at.as_millis().rem_euclid(1_000) * 1_000_000,
    };
    let once = Itimerspec { it_interval: never, it_value: moment };
    let set = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(&timer, set, &once).ok()?;
    readable(timer).ok()
}
