//! Runs of a server: started, followed, ended, done again.

use std::time::Duration;

use errand_api::gateway::prune::{PruneRuns, Pruned};
use errand_api::gateway::run::{ForkRequest, RunRequest};
use errand_api::record::RunRecord;
use errand_engine::operations::{JournalOperations as _, More, RunListQuery, RunOperations as _};
use errand_model::budget::LimitName;
use errand_model::{RunId, Timestamp};
use errand_store::Filter;
use reqwest::Method;
use serde_json::{Value, json};

use super::Remote;
use super::patience::Patience;
use crate::failure::Failure;

/// Children of a coordinator that are read at once.
const PAGE: u32 = 500;

/// Interval of the check whether all agents of a coordinator wait for people.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A registered agent for a run on a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteChoice {
    pub(crate) version: Option<String>,
    pub(crate) latest: Option<bool>,
}

impl Remote {
    /// Starts a run.
    pub(crate) async fn start(
        &self,
        wanted: &RunRequest,
        key: Option<&str>,
    ) -> Result<RunRecord, Failure> {
        let mut request = self.request(Method::POST, &["runs"]).json(wanted);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.ask(request).await
    }

    /// Waits until the run is over, or waits for a person without an agent process.
    pub(crate) async fn settled(&self, run_id: &RunId) -> Result<RunRecord, Failure> {
        let (mut seen, mut patience) = (0, Patience::with(self));
        let mut looks_again = false;
        loop {
            if std::mem::take(&mut looks_again) {
                // The run's own events do not include those of its agents.
                tokio::time::sleep(LOOK_AGAIN).await;
            } else {
                // Events that may settle a run: a pause, the run's end, an attempt's end.
                self.follow(run_id, seen, &mut |event| {
                    seen = event.seq;
                    let may =
                        event.kind.starts_with("run.paused") || event.kind.starts_with("attempt.");
                    Ok(if may { More::Enough } else { More::Wanted })
                })
                .await?;
            }
            let (record, rests) = match Box::pin(self.standing(run_id)).await {
                Ok(found) => found,
                Err(failure) => {
                    patience.after(failure).await?;
                    continue;
                }
            };
            patience.answered();
            if record.is_terminal() || rests {
                return Ok(record);
            }
            looks_again = record.status == "paused" && record.coordinator.is_some();
        }
    }

    /// Returns a run, and whether it rests.
    async fn standing(&self, run_id: &RunId) -> Result<(RunRecord, bool), Failure> {
        let record = self.record(run_id).await?;
        let rests = Box::pin(self.rests(&record)).await?;
        Ok((record, rests))
    }

    /// Returns whether a run waits for people and none of its agents has a process, at any depth.
    async fn rests(&self, record: &RunRecord) -> Result<bool, Failure> {
        if record.status != "paused" {
            return Ok(false);
        }
        if record.coordinator.is_none() {
            return Ok(record.attempts.last().is_none_or(|last| last.stopped_at_ms.is_some()));
        }
        let parent_run_id = Some(record.run_id.clone());
        let children = RunListQuery {
            filter: Filter { live: true, parent_run_id, ..Filter::default() },
            with_children: true,
            since: None,
            after: None,
            limit: PAGE,
        };
        for child in self.all_runs(children, None).await?.runs {
            if !Box::pin(self.rests(&child)).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Restarts a run. Returns the run with the new attempt: the same one if it was live.
    pub(crate) async fn restart(
        &self,
        run_id: &RunId,
        time: Duration,
        choice: RemoteChoice,
    ) -> Result<RunRecord, Failure> {
        let body = with_choice(grace(time), choice);
        self.post(&["runs", run_id.as_str(), "restart"], &body).await
    }

    /// Removes a run.
    pub(crate) async fn remove(&self, run_id: &RunId, force: bool) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, &["runs", run_id.as_str()]);
        self.send(request.query(&[("force", force)])).await?;
        Ok(())
    }

    /// Removes all runs that ended before, or lists them with `dry_run`.
    pub(crate) async fn prune(&self, before: Timestamp, dry_run: bool) -> Result<Pruned, Failure> {
        self.post(&["prune"], &PruneRuns { ended_before_ms: Some(before.as_millis()), dry_run })
            .await
    }

    /// Starts a new run that continues where one stopped.
    pub(crate) async fn retry(
        &self,
        run_id: &RunId,
        choice: RemoteChoice,
    ) -> Result<RunRecord, Failure> {
        let body = with_choice(json!({}), choice);
        self.post(&["runs", run_id.as_str(), "retry"], &body).await
    }

    /// Starts a new run that begins in the middle of one.
    pub(crate) async fn fork(
        &self,
        run_id: &RunId,
        request: &ForkRequest,
    ) -> Result<RunRecord, Failure> {
        self.post(&["runs", run_id.as_str(), "fork"], request).await
    }

    /// Starts a strict replay, with everything served from the record.
    pub(crate) async fn replay_strictly(
        &self,
        run_id: &RunId,
        agent: Option<String>,
    ) -> Result<RunRecord, Failure> {
        let body = replay("strict", agent);
        self.post(&["runs", run_id.as_str(), "replay"], &body).await
    }

    /// Starts a live replay, which repeats everything, including effects outside if `allow_effects`
    /// is set.
    pub(crate) async fn replay_live(
        &self,
        run_id: &RunId,
        agent: Option<String>,
        allow_effects: bool,
    ) -> Result<RunRecord, Failure> {
        let mut body = replay("live", agent);
        body["allow_effects"] = allow_effects.into();
        self.post(&["runs", run_id.as_str(), "replay"], &body).await
    }
}

/// Returns a request with the time for the agent to end by itself; no time kills it at once.
pub(super) fn grace(time: Duration) -> Value {
    if time.is_zero() {
        return json!({ "force": true });
    }
    json!({ "grace_period": format!("{}ms", time.as_millis()) })
}

/// Returns a request to repeat a run, with the agent that is chosen for that.
fn with_choice(mut body: Value, choice: RemoteChoice) -> Value {
    if let Some(version) = choice.version {
        body["version"] = version.into();
    }
    if let Some(latest) = choice.latest {
        body["latest"] = latest.into();
    }
    body
}

fn replay(policy: &str, agent: Option<String>) -> Value {
    match agent {
        Some(agent) => json!({ "policy": policy, "agent": agent }),
        None => json!({ "policy": policy }),
    }
}

/// Returns limits as an agent file spells them; `None` without limits.
pub(crate) fn budgets(limits: &[(LimitName, u64)]) -> Option<Value> {
    if limits.is_empty() {
        return None;
    }
    let spelled = limits.iter().map(|(limit, value)| errand_api::budget::spelled(*limit, *value));
    Some(spelled.map(|(name, value)| (name.to_owned(), value)).collect())
}
