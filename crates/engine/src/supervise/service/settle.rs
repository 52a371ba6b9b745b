//! Ends of wakes: recorded in the service's journal, and told to the clients that wait for them.

use errand_model::RunId;
use errand_model::event::WakeEnded;
use errand_model::run::{EndWake, Run, Status};
use errand_store::Stored;

use super::wake::{EndedWake, Reply};
use super::wake_end;
use super::wakes::Wakes;
use crate::Error;
use crate::error::CodedError as _;
use crate::listener::IngressOutcome;

impl Wakes {
    /// Waits until a wake ended; forever if there is none. Cancel-safe.
    pub(super) async fn one_ended(&mut self) -> EndedWake {
        let Some(joined) = self.under_way.join_next_with_id().await else {
            return std::future::pending().await;
        };
        match joined {
            Ok((task, ended)) => EndedWake { task, stored: ended.ok() },
            Err(error) => EndedWake { task: error.id(), stored: None },
        }
    }

    /// Records the end of a wake, and answers its client.
    pub(super) async fn settle(&mut self, ended: EndedWake) -> Result<(), Error> {
        let EndedWake { task, stored: ended } = ended;
        let Some(active) = self.active.remove(&task) else { return Ok(()) };
        let recorded = match &ended {
            Some(stored) if !stored.run.status.is_terminal() => {
                // The run waits for a person, without a process.
                self.follow(active.run_id.clone());
                Ok(())
            }
            Some(stored) => self.record_end(&active.run_id, &stored.run).await,
            None => Ok(()),
        };
        if let Some(Reply { client, place }) = active.reply {
            if let Some(client) = client {
                // The client may have gone: the run is recorded regardless.
                drop(client.send(outcome(active.run_id, ended)));
            }
            drop(place);
        }
        recorded
    }

    /// Records the usage of a wake. A wake that ends because the attempt does, and not the service,
    /// is left to the next attempt.
    async fn record_end(&self, run_id: &RunId, last: &Run) -> Result<(), Error> {
        let is_cut_off =
            wake_end::is_cut_off(last) && (self.is_winding_down || !wake_end::is_killed(last));
        let is_left = is_cut_off && self.journal.look(|run, _| run.cancel_requested.is_none());
        if is_left {
            return Ok(());
        }
        let mut ended = wake_end::ended(last);
        if last.id != *run_id
            && let Some(first) = self.engine.store().load(run_id).await?
        {
            // The run was handed over.
            ended.usage = ended.usage.plus(&wake_end::ended(&first.run).usage);
            ended.run_id = run_id.clone();
        }
        self.end(ended).await
    }

    /// Records the end of a wake.
    pub(super) async fn end(&self, ended: WakeEnded) -> Result<(), Error> {
        let command = EndWake { attempt: self.attempt, ended }.into();
        match self.journal.command(&command).await {
            Ok(_) => Ok(()),
            Err(error) if error.rejection().is_some() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn outcome(run_id: RunId, ended: Option<Stored>) -> IngressOutcome {
    let failed = |message: String| IngressOutcome::Failed { run_id: run_id.clone(), message };
    match ended.map(|stored| stored.run.status) {
        Some(Status::Completed { .. }) => IngressOutcome::Done { run_id },
        Some(Status::Failed { error, .. }) => failed(error.message),
        Some(status) => failed(format!("the run is {}", status.name())),
        None => failed("the run could not be carried out".to_owned()),
    }
}
