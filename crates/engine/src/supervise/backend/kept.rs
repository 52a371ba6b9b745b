//! Facts about the attempt that another supervisor needs.

use std::sync::PoisonError;
use std::time::Duration;

use errand_agent::agent_api::AttemptResult;
use errand_model::run::AttemptReport;
use errand_model::spend::Book;
use errand_model::step::StepState;

use super::AttemptBackend;
use super::budget::GATEWAY_PREFIX;
use crate::Error;
use crate::cut_calls::CutCalls;
use crate::kept::{KeptAttempt, KeptStepLimit};

impl AttemptBackend {
    /// Keeps the first result of an agent.
    pub(super) fn keep_result(&self, result: &AttemptResult) {
        if self.said(|said| said.result.is_none()) {
            // On a full disk, the exit code of the agent decides under another supervisor.
            self.keep(|kept| kept.result = Some(result.clone()));
        }
    }

    /// Keeps the limit of a step that has begun, and forgets those of steps that are over.
    pub(super) fn keep_step_limit(&self, key: String, limit: Option<Duration>, paused: Duration) {
        if limit.is_none() && paused.is_zero() {
            return;
        }
        let is_begun = |key: &String| {
            let state = |steps: &errand_model::step::Steps| {
                steps.get(key).is_some_and(|step| step.state == StepState::Started)
            };
            self.journal.look(|_, steps| state(steps))
        };
        self.keep(|kept| {
            kept.step_limits.retain(|key, _| is_begun(key));
            kept.step_limits.insert(key, KeptStepLimit { limit, paused });
        });
    }

    /// Keeps the number of messages that the agent got in this attempt.
    pub(super) fn keep_messages_given(&self, given: usize) {
        self.keep(|kept| kept.messages_given = given);
    }

    /// Keeps the reservations of calls under way.
    pub(super) fn keep_book(&self, book: &Book) {
        self.keep(|kept| kept.book = book.clone());
    }

    /// Ends the calls that the supervisor before left under way, and their reservations: its gateways
    /// died with it.
    ///
    /// # Errors
    ///
    /// If the registry fails, or the run belongs to another process.
    pub(in crate::supervise) async fn end_cut_calls(&self) -> Result<(), Error> {
        let run = self.journal.look(|run, _| run.clone());
        let place = (&run, self.journal.head_seq());
        let cut = CutCalls::of(&self.engine, place, self.engine.now()).await?;
        if !cut.events.is_empty() {
            let report = AttemptReport { attempt: self.attempt, events: cut.events };
            // Carried out once the agent is watched.
            self.order(self.journal.command(&report.into()).await?.effects);
        }
        let left = self.book(|book| {
            let of_gateways = book.names().filter(|name| name.starts_with(GATEWAY_PREFIX));
            let left: Vec<String> = of_gateways.map(str::to_owned).collect();
            for name in &left {
                book.take_back(name);
            }
            left
        });
        if !left.is_empty() {
            self.engine.store().release(self.journal.run_id(), left).await?;
        }
        Ok(())
    }

    fn keep(&self, change: impl FnOnce(&mut KeptAttempt)) {
        let Some(kept) = &self.kept else { return };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut kept);
        if let Err(error) = kept.write(&self.engine, self.journal.run_id()) {
            tracing::warn!(%error, "another supervisor would not know all of the attempt");
        }
    }
}
