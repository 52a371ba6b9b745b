//! Limits on time: looked at when they are due, by nothing but a timer.

use std::time::Duration;

use errand_model::Timestamp;
use errand_model::budget::{LimitName, OnExceed, Scope};
use errand_model::price::Day;
use errand_model::run::{Denied, Run};
use errand_model::spend::{Amounts, Spent, Want, WantKind};
use errand_store::{DayReservation, DayReserved};

use super::AttemptBackend;

/// An agent's day is used up in parts: a run is promised so much time at once, and asks for more
/// when that is used. Larger parts would deny others what is never used.
const PARTS_OF_A_DAY: u64 = 20;
/// No part is smaller: each is a commit.
const SMALLEST_PART: Duration = Duration::from_secs(1);
/// No part is larger.
const LARGEST_PART: Duration = Duration::from_secs(60);
/// After a refusal, a run that goes on asks again when it worked for so much longer: another day
/// may have begun.
const ASK_AGAIN: Duration = Duration::from_secs(60);

impl AttemptBackend {
    /// Looks at the limits on time for as long as the attempt lasts. Its owner ends it.
    pub(in crate::supervise) async fn keep_time(self: std::sync::Arc<Self>) {
        tokio::join!(self.keep_time_of_run(), self.keep_time_of_day());
    }

    /// Warns, and does what is to be done at the end of the run's own time.
    async fn keep_time_of_run(&self) {
        if self.journal.look(|run, _| run.allowed(LimitName::WallTimeMsPerRun)).is_none() {
            return;
        }
        while self.reached(Run::next_meter).await {
            if self.meter(None, None).await.is_err() {
                // The attempt is over, or the journal is lost: both are told elsewhere.
                return;
            }
        }
    }

    /// Asks for the time that the run is about to use of its agent's day, part by part.
    async fn keep_time_of_day(&self) {
        let limit = LimitName::WallTimeMsPerDay;
        let (begun, agent) =
            self.journal.look(|run, _| (run.budget.watch.spent_ms, run.spec.agent_key()));
        // What the watch may show before more has to be asked for.
        let (mut asked_until, mut parts) = (begun, 0_u32);
        loop {
            let Some(allowed) = self.journal.look(|run, _| run.allowed(limit)) else { return };
            if !self.reached(|run| run.budget.watch.shows_at(asked_until)).await {
                return;
            }
            parts += 1;
            let part =
                (allowed / PARTS_OF_A_DAY).clamp(millis(SMALLEST_PART), millis(LARGEST_PART));
            let id = format!("rsv_time_{}_{parts}", self.journal.epoch());
            match self.ask_for_time(id, &agent, part).await {
                Ok(Ok(granted)) => asked_until += granted,
                Ok(Err(denied)) => {
                    if self.meter(None, Some(denied)).await.is_err() {
                        return;
                    }
                    let goes_on =
                        self.journal.look(|run, _| run.spec.budgets.on_exceed != OnExceed::Pause);
                    if goes_on {
                        asked_until += millis(ASK_AGAIN);
                    }
                }
                // The lease is lost, or the registry cannot be written: both are told elsewhere.
                Err(_) => return,
            }
        }
    }

    /// Asks for a part of today, or for what is left of it where that is less. Returns how much it
    /// got.
    async fn ask_for_time(
        &self,
        id: String,
        agent: &str,
        part: u64,
    ) -> Result<Result<u64, Denied>, errand_store::Error> {
        let denied = |spent: Spent| Denied {
            limit: LimitName::WallTimeMsPerDay,
            used: spent.used.saturating_add(spent.reserved),
            allowed: spent.allowed,
        };
        let (mut wall_time_ms, mut is_last) = (part, false);
        loop {
            let amounts = Amounts { wall_time_ms, ..Amounts::ZERO };
            let reservation = DayReservation {
                id: format!("{}_{id}", self.journal.run_id()),
                run_id: self.journal.run_id().clone(),
                epoch: self.journal.epoch(),
                agent: agent.to_owned(),
                day: Day::of(self.engine.now()),
                want: Want { kind: WantKind::Time, amounts },
                caps: self.journal.look(|run, _| run.caps(Scope::Day)),
            };
            let DayReserved::Refused { spent, holders } =
                self.engine.store().reserve(reservation).await?
            else {
                return Ok(Ok(wall_time_ms));
            };
            // A refusal of the agent API has nobody to go to here; the next look tells.
            let buried = !is_last && self.bury(&holders).await.unwrap_or(false);
            let left = spent.allowed.saturating_sub(spent.used).saturating_sub(spent.reserved);
            if is_last || (left == 0 && !buried) {
                return Ok(Err(denied(spent)));
            }
            if left > 0 {
                wall_time_ms = left.min(part);
            }
            is_last = true;
        }
    }

    /// Waits until the moment that `when` finds in the run has come, also where that moves, or
    /// where there is none for a while. Returns whether it came: not if the journal is lost.
    pub(super) async fn reached(&self, when: impl Fn(&Run) -> Option<Timestamp>) -> bool {
        loop {
            let next = self.journal.look(|run, _| when(run));
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep(at.since(self.engine.now())).await,
                    None => std::future::pending().await,
                }
            };
            let moved = self.journal.until(|run| (when(run) != next).then_some(()));
            tokio::select! {
                () = sleep => return true,
                moved = moved => {
                    if moved.is_err() {
                        return false;
                    }
                }
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
