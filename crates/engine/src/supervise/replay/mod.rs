//! Strict replay: the backend of the agent API of a run that repeats another.
//!
//! No step's command is executed, no person is asked, no session is written: the record answers.
//! The agent's calls are compared with the record; at the first difference the agent is killed and
//! the run fails. The ids of the two runs count as one.

mod backend;
mod messages;
mod model_calls;
mod people;
mod requests;
mod session;
mod settle;
mod streams;
mod tool_calls;
mod translate;

use std::sync::{Arc, Mutex, PoisonError};

use errand_agent::agent_api::Refusal;
use errand_api::agent_file::AgentReplay;
use errand_api::error_code::ErrorCode;
use errand_model::RunId;
use errand_model::event::{EventBody, Failure, ReplayDiverged, ReplayPolicy};
use errand_model::replay::{Divergence, RecordedRun};
use errand_model::run::Run;
use errand_wire::IgnorePointer;
use tokio::sync::watch;

use super::backend::AttemptBackend;
use crate::again;
use crate::journal::Journal;
use crate::{Engine, Error, wait};
use translate::Translate;

/// Backend of the agent API for one attempt, in a strict replay.
#[derive(Debug)]
pub(super) struct Replayed {
    engine: Engine,
    journaled: Arc<AttemptBackend>,
    of: RunId,
    /// Repeated run, with the answers of people.
    asked: Run,
    record: Mutex<RecordedRun>,
    translate: Translate,
    /// Members that digests of requests leave out, besides those of their formats.
    ignored: Vec<IgnorePointer>,
    talk: Mutex<session::SessionReplay>,
    failed: watch::Sender<Option<Failure>>,
}

impl Replayed {
    /// Returns the backend, if the journal's run is a strict replay.
    ///
    /// # Errors
    ///
    /// If the repeated run does not exist any more.
    pub(super) async fn of(
        engine: &Engine,
        journal: &Journal,
        journaled: &Arc<AttemptBackend>,
        settings: &AgentReplay,
    ) -> Result<Option<Arc<Self>>, Error> {
        let (own, replay) = journal.look(|run, _| (run.clone(), run.spec.replay.clone()));
        let Some(replay) = replay.filter(|replay| replay.policy == ReplayPolicy::Strict) else {
            return Ok(None);
        };
        let run = wait::load(engine, &replay.of).await?.run;
        let events = again::journal(engine, &replay.of).await?;
        let record = RecordedRun::of(&run, &events)?;
        Ok(Some(Arc::new(Self {
            engine: engine.clone(),
            journaled: Arc::clone(journaled),
            translate: Translate::new(&own, &run),
            // The door has refused what is no pointer.
            ignored: settings.ignore.iter().filter_map(|it| it.parse().ok()).collect(),
            of: replay.of,
            asked: run,
            record: Mutex::new(record),
            talk: Mutex::new(session::SessionReplay::default()),
            failed: watch::Sender::new(None),
        })))
    }

    /// Waits until the replay has failed.
    pub(super) async fn diverged(&self) -> Failure {
        let mut failed = self.failed.subscribe();
        let found = failed.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match found {
            Some(failure) => failure,
            // The struct owns the sender, so the channel is open.
            None => std::future::pending().await,
        }
    }

    /// Returns the failure of the replay, if it failed.
    fn failure(&self) -> Option<Failure> {
        self.failed.borrow().clone()
    }

    /// Compares a call with the record; the first difference ends the replay.
    async fn compare<T>(
        &self,
        what: impl FnOnce(&mut RecordedRun) -> Result<T, Divergence>,
    ) -> Result<T, Refusal> {
        let compared = what(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
        match compared {
            Ok(same) if self.failure().is_none() => Ok(same),
            Ok(_) => Err(refusal(&of_divergence("something", &self.of))),
            Err(divergence) => Err(refusal(&self.fail(divergence).await)),
        }
    }

    /// Records the first difference; later ones are its consequences.
    async fn fail(&self, divergence: Divergence) -> Failure {
        let Divergence { step, what, expected, found, requests } = divergence;
        let shown = match (&step, &requests) {
            (Some(step), Some(requests)) => {
                let at = requests.path.as_ref().map(|path| format!(", first at {path}"));
                format!("{what} {step}{}", at.unwrap_or_default())
            }
            (Some(_) | None, Some(_) | None) => what.clone(),
        };
        let mut failure = of_divergence(&shown, &self.of);
        failure.step.clone_from(&step);
        let mut is_first = false;
        self.failed.send_if_modified(|failed| {
            is_first = failed.is_none();
            if is_first {
                *failed = Some(failure.clone());
            }
            is_first
        });
        if is_first {
            let (path, diff) = requests.map(|it| (it.path, Some(it.diff))).unwrap_or_default();
            let diverged = ReplayDiverged { step, what, expected, found, path, diff };
            // If it cannot be recorded, this process has lost the attempt, which ends for that.
            drop(self.journaled.report_all(vec![EventBody::ReplayDiverged(diverged)]).await);
        }
        failure
    }
}

fn of_divergence(what: &str, of: &RunId) -> Failure {
    let code = ErrorCode::ReplayDiverged;
    Failure::new(code, format!("the replay differs from run {of}: {what}"))
}

fn refusal(failure: &Failure) -> Refusal {
    Refusal::new(409, ErrorCode::ReplayDiverged, failure.message.clone())
}
