//! Limits on time, checked by a timer only when they are due.

use std::time::Duration;

use errand_model::Timestamp;
use errand_model::budget::{BudgetScope, LimitName, OnExceed};
use errand_model::price::Day;
use errand_model::run::{DeniedCall, Run};
use errand_model::spend::{Amounts, Spent, Want, WantKind};
use errand_store::{DayReservation, DayReserved};

use super::AttemptBackend;

/// Number of parts of an agent's day: a run reserves one part of the time at once, and another when
/// that is used. Larger parts would keep unused time from other runs.
const PARTS_OF_A_DAY: u64 = 20;
/// Smallest part: each is a commit.
const SMALLEST_PART: Duration = Duration::from_secs(1);
/// Largest part.
const LARGEST_PART: Duration = Duration::from_secs(60);
/// Time after a refusal until a continuing run asks again: another day may have begun.
const ASK_AGAIN: Duration = Duration::from_secs(60);

impl AttemptBackend {
    /// Checks the limits on time for as long as the attempt lasts. Its owner ends it.
    pub(in crate::supervise) async fn keep_time(self: std::sync::Arc<Self>) {
        tokio::join!(self.keep_time_of_run(), self.keep_time_of_day());
    }

    /// Warns at the limits on the run's own time, and applies them.
    async fn keep_time_of_run(&self) {
        if self.journal.look(|run, _| run.allowed(LimitName::WallTimeMsPerRun)).is_none() {
            return;
        }
        while self.reached(Run::next_meter).await {
            if self.meter(None, None).await.is_err() {
                // The attempt is over, or the journal is lost: both are reported elsewhere.
                return;
            }
        }
    }

    /// Reserves the time that the run is about to use of its agent's day, part by part.
    async fn keep_time_of_day(&self) {
        let limit = LimitName::WallTimeMsPerDay;
        let (begun, agent) =
            self.journal.look(|run, _| (run.budget.watch.spent_ms, run.spec.agent_key()));
        // Reading of the run's clock at which the next part is needed.
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
                // The lease is lost, or the registry cannot be written: both are reported
                // elsewhere.
                Err(_) => return,
            }
        }
    }

    /// Reserves a part of today, or the rest of today if that is less. Returns the reserved time.
    async fn ask_for_time(
        &self,
        id: String,
        agent: &str,
        part: u64,
    ) -> Result<Result<u64, DeniedCall>, errand_store::Error> {
        let denied = |spent: Spent| DeniedCall {
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
                caps: self.journal.look(|run, _| run.caps(BudgetScope::Day)),
            };
            let DayReserved::Refused { spent, holders } =
                self.engine.store().reserve(reservation).await?
            else {
                return Ok(Ok(wall_time_ms));
            };
            // A refusal of the agent API has no receiver here; the next check reports it.
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

    /// Waits until the moment that `when` returns for the run, even if that moves, or is absent for
    /// a while. Returns whether the moment came: `false` if the journal is lost.
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
