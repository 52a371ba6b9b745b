//! Runs: started, looked at, waited for, ended, done again.

use std::time::Duration;

use errand_api::gateway::prune::{PruneRuns, Pruned};
use errand_api::gateway::run::{EventPage, RunPage, RunRequest};
use errand_api::gateway::run_find::{FoundRun, FoundRuns};
use errand_api::graph::Graph;
use errand_api::message::MessagePage;
use errand_api::record::Record;
use errand_api::story::{Comparison, Story};
use errand_api::trace::Trace;
use errand_api::verification::Verification;
use errand_engine::ask::Stop;
use errand_engine::view::TraceAsk;
use errand_model::budget::LimitName;
use errand_model::event::{MessageType, RunKind};
use errand_model::{Event, RunId, Timestamp};
use errand_store::Filter;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer::not_a_server;
use super::patience::Patience;
use super::{More, Remote, UsageAsk};
use crate::commands::RemoteChoice;
use crate::failure::Failure;

/// Runs that are asked for at once.
const PAGE: usize = 500;
/// Spans that a server tells at most.
const LARGEST_TRACE: usize = 100_000;
/// How long the server is to wait before it says that nothing happened.
const WAIT: Duration = Duration::from_secs(30);

/// A part of a journal.
#[derive(Debug)]
pub(crate) struct Events {
    /// In order.
    pub(crate) events: Vec<Event>,
    /// Whether more is there already.
    pub(crate) has_more: bool,
    /// Whether nothing will follow.
    pub(crate) is_over: bool,
}

/// How often it is looked whether all agents of a coordinator wait for people.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Remote {
    /// Starts a run.
    pub(crate) async fn start(
        &self,
        wanted: &RunRequest,
        key: Option<&str>,
    ) -> Result<Record, Failure> {
        let mut request = self.request(Method::POST, &["runs"]).json(wanted);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.ask(request).await
    }

    /// The runs that `text` may mean.
    pub(crate) async fn find(&self, text: &str) -> Result<Vec<FoundRun>, Failure> {
        let found: FoundRuns = self.query(&["find-runs"], &[("text", text.to_owned())]).await?;
        Ok(found.runs)
    }

    /// The record of a run.
    pub(crate) async fn record(&self, run_id: &RunId) -> Result<Record, Failure> {
        self.get(&["runs", run_id.as_str()]).await
    }

    /// The same with its usage by step.
    pub(crate) async fn inspect(&self, run_id: &RunId) -> Result<Record, Failure> {
        let mut record = self.record(run_id).await?;
        self.complete(&mut record).await?;
        if record.counters.model_calls + record.counters.tool_calls > 0 {
            let (agent, days) = (None, (None, None));
            let ask = UsageAsk { by: "step", agent, run_id: Some(run_id), days };
            record.usage.by_step = self.usage(&ask).await?.rows;
        }
        Ok(record)
    }

    /// The same as a manifest.
    pub(crate) async fn manifest(&self, run_id: &RunId) -> Result<Value, Failure> {
        self.get(&["runs", run_id.as_str(), "manifest"]).await
    }

    /// Records of runs that fit, newest first: those that are shown, at most so many.
    pub(crate) async fn records(
        &self,
        filter: &Filter,
        limit: Option<usize>,
        is_shown: impl Fn(&Record) -> bool,
    ) -> Result<Vec<Record>, Failure> {
        let wanted = limit.unwrap_or(usize::MAX);
        let mut found: Vec<Record> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = list_query(filter, wanted);
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: RunPage = self.query(&["runs"], &query).await?;
            let is_of_kind =
                |record: &Record| filter.kinds.is_empty() || filter.kinds.contains(&record.kind);
            found.extend(page.runs.into_iter().filter(|it| is_of_kind(it) && is_shown(it)));
            cursor = page.next_cursor;
            if cursor.is_none() || found.len() >= wanted {
                found.truncate(wanted);
                return Ok(found);
            }
        }
    }

    /// The ids of all runs, oldest first.
    pub(crate) async fn run_ids(&self) -> Result<Vec<RunId>, Failure> {
        let all = self.records(&Filter::default(), None, |_| true).await?;
        Ok(all.into_iter().rev().map(|record| record.run_id).collect())
    }

    /// Waits until the run is over; at most until `deadline`. Returns it as it is then.
    pub(crate) async fn wait(
        &self,
        run_id: &RunId,
        deadline: Option<Instant>,
    ) -> Result<Record, Failure> {
        let mut patience = Patience::with(self);
        loop {
            let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            let wait = left.map_or(WAIT, |left| left.min(WAIT));
            let query = [("timeout", format!("{}ms", wait.as_millis().max(1)))];
            let waited = self.query::<Record>(&["runs", run_id.as_str(), "wait"], &query).await;
            let record = match waited {
                Ok(record) => record,
                Err(failure) if left.is_some_and(|left| left.is_zero()) => return Err(failure),
                Err(failure) => {
                    patience.after(failure).await?;
                    continue;
                }
            };
            patience.answered();
            if record.is_terminal() || left.is_some_and(|left| left <= wait) {
                return Ok(record);
            }
        }
    }

    /// Waits until the run is over, or waits for a person with no agent there.
    pub(crate) async fn settled(&self, run_id: &RunId) -> Result<Record, Failure> {
        let (mut seen, mut patience) = (0, Patience::with(self));
        let mut looks_again = false;
        loop {
            if std::mem::take(&mut looks_again) {
                // What its agents do is not among its own events.
                tokio::time::sleep(LOOK_AGAIN).await;
            } else {
                // What may settle a run: it was paused, or ended; an attempt of it was.
                self.follow(run_id, seen, |event| {
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

    /// A run, and whether it rests.
    async fn standing(&self, run_id: &RunId) -> Result<(Record, bool), Failure> {
        let record = self.record(run_id).await?;
        let rests = Box::pin(self.rests(&record)).await?;
        Ok((record, rests))
    }

    /// Whether a run waits for people and none of its agents is there, however deep.
    async fn rests(&self, record: &Record) -> Result<bool, Failure> {
        if record.status != "paused" {
            return Ok(false);
        }
        if record.coordinator.is_none() {
            return Ok(record.attempts.last().is_none_or(|last| last.stopped_at_ms.is_some()));
        }
        let live =
            Filter { live: true, parent_run_id: Some(record.run_id.clone()), ..Filter::default() };
        for child in self.records(&live, None, |_| true).await? {
            if !Box::pin(self.rests(&child)).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Events after number `after`, at most so many.
    pub(crate) async fn events(
        &self,
        run_id: &RunId,
        after: u64,
        limit: u32,
    ) -> Result<Events, Failure> {
        let query = [("after", after.to_string()), ("limit", limit.to_string())];
        let page: EventPage = self.query(&["runs", run_id.as_str(), "events"], &query).await?;
        let read = |event: &Value| {
            Event::from_json_line(&event.to_string()).map_err(|error| {
                not_a_server(self.url(), "an event of it cannot be read").because(&error)
            })
        };
        Ok(Events {
            events: page.events.iter().map(read).collect::<Result<_, _>>()?,
            has_more: page.next_after.is_some(),
            is_over: page.is_over,
        })
    }

    /// Ends a run. Returns whether it was over already, and how it ended.
    pub(crate) async fn stop(
        &self,
        run_id: &RunId,
        stop: &Stop,
    ) -> Result<(bool, String), Failure> {
        let before = self.record(run_id).await?;
        if before.is_terminal() {
            return Ok((true, before.status));
        }
        let request = self.request(Method::POST, &["runs", run_id.as_str(), "cancel"]);
        let request = request.query(&[("wait", true)]).json(&grace(stop.grace));
        Ok((false, self.ask::<Record>(request).await?.status))
    }

    /// Begins a run anew. Returns the run that does it: the same while it lives.
    pub(crate) async fn restart(
        &self,
        run_id: &RunId,
        time: Duration,
        choice: RemoteChoice,
    ) -> Result<Record, Failure> {
        let body = with_choice(grace(time), choice);
        self.post(&["runs", run_id.as_str(), "restart"], &body).await
    }

    /// Holds a run.
    pub(crate) async fn pause(&self, run_id: &RunId) -> Result<(), Failure> {
        let request = self.request(Method::POST, &["runs", run_id.as_str(), "pause"]);
        self.ask::<Record>(request).await?;
        Ok(())
    }

    /// Lets a run go on, with more of its limits where some are given.
    pub(crate) async fn resume(
        &self,
        run_id: &RunId,
        raise: &[(LimitName, u64)],
    ) -> Result<(), Failure> {
        let body = match budgets(raise) {
            Some(raise) => json!({ "raise": raise }),
            None => json!({}),
        };
        self.post::<Record>(&["runs", run_id.as_str(), "resume"], &body).await?;
        Ok(())
    }

    /// Wakes a service. Returns the wake's run.
    pub(crate) async fn wake(
        &self,
        service: &RunId,
        input: Option<Value>,
    ) -> Result<Record, Failure> {
        let body = match input {
            Some(input) => json!({ "input": input }),
            None => json!({}),
        };
        self.post(&["runs", service.as_str(), "wake"], &body).await
    }

    /// Removes a run.
    pub(crate) async fn remove(&self, run_id: &RunId, force: bool) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, &["runs", run_id.as_str()]);
        self.send(request.query(&[("force", force)])).await?;
        Ok(())
    }

    /// Removes all runs that ended before, or says which it would.
    pub(crate) async fn prune(&self, before: Timestamp, dry_run: bool) -> Result<Pruned, Failure> {
        self.post(&["prune"], &PruneRuns { ended_before_ms: Some(before.as_millis()), dry_run })
            .await
    }

    /// A new run that goes on where one stopped.
    pub(crate) async fn retry(
        &self,
        run_id: &RunId,
        choice: RemoteChoice,
    ) -> Result<Record, Failure> {
        let body = with_choice(json!({}), choice);
        self.post(&["runs", run_id.as_str(), "retry"], &body).await
    }

    /// A new run that begins in the middle of one.
    pub(crate) async fn fork(
        &self,
        run_id: &RunId,
        from_step: &str,
        input: Option<Value>,
    ) -> Result<Record, Failure> {
        let mut body = json!({ "from_step": from_step });
        if let Some(input) = input {
            body["input"] = input;
        }
        self.post(&["runs", run_id.as_str(), "fork"], &body).await
    }

    /// What a run did, and what a replay would serve.
    pub(crate) async fn story(&self, run_id: &RunId) -> Result<Story, Failure> {
        self.post(&["runs", run_id.as_str(), "replay"], &json!({ "policy": "inspect" })).await
    }

    /// A run that does the same with everything served from the record.
    pub(crate) async fn replay_strictly(
        &self,
        run_id: &RunId,
        agent: Option<String>,
    ) -> Result<Record, Failure> {
        let body = replay("strict", agent);
        self.post(&["runs", run_id.as_str(), "replay"], &body).await
    }

    /// A run that does it all again; effects outside may happen once more if that is allowed.
    pub(crate) async fn replay_live(
        &self,
        run_id: &RunId,
        agent: Option<String>,
        allow_effects: bool,
    ) -> Result<Record, Failure> {
        let mut body = replay("live", agent);
        body["allow_effects"] = allow_effects.into();
        self.post(&["runs", run_id.as_str(), "replay"], &body).await
    }

    /// What came of a strict replay that is over.
    pub(crate) async fn comparison(&self, replay: &RunId) -> Result<Comparison, Failure> {
        self.get(&["runs", replay.as_str(), "comparison"]).await
    }

    /// What a run did with its time.
    pub(crate) async fn trace(&self, run_id: &RunId, ask: TraceAsk) -> Result<Trace, Failure> {
        let limit = ask.limit.clamp(1, LARGEST_TRACE).to_string();
        let query = [("limit", limit), ("depth", ask.depth.to_string())];
        let trace: Trace = self.query(&["runs", run_id.as_str(), "trace"], &query).await?;
        Ok(trace.shortened(ask.limit))
    }

    /// Who said what to whom in a coordinated run.
    pub(crate) async fn graph(&self, run_id: &RunId) -> Result<Graph, Failure> {
        self.get(&["runs", run_id.as_str(), "graph"]).await
    }

    /// The messages of a run after that place in its journal, at most so many.
    pub(crate) async fn messages(
        &self,
        run_id: &RunId,
        (after, limit): (u64, usize),
        kind: Option<MessageType>,
    ) -> Result<MessagePage, Failure> {
        let mut query = vec![("after", after.to_string()), ("limit", limit.to_string())];
        query.extend(kind.map(|kind| ("type", kind.word().to_owned())));
        self.query(&["runs", run_id.as_str(), "messages"], &query).await
    }

    /// Whether a run is what was written.
    pub(crate) async fn verify(&self, run_id: &RunId) -> Result<Verification, Failure> {
        self.get(&["runs", run_id.as_str(), "verify"]).await
    }
}

/// How long an agent has to end by itself; no time at all kills it at once.
fn grace(time: Duration) -> Value {
    if time.is_zero() {
        return json!({ "force": true });
    }
    json!({ "grace_period": format!("{}ms", time.as_millis()) })
}

/// A request for a run that does another one again, with the agent that is chosen for that.
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

/// Limits as the agent file writes them; `None`: there are none.
pub(crate) fn budgets(limits: &[(LimitName, u64)]) -> Option<Value> {
    if limits.is_empty() {
        return None;
    }
    let spelled = limits.iter().map(|(limit, value)| errand_api::budget::spelled(*limit, *value));
    Some(spelled.map(|(name, value)| (name.to_owned(), value)).collect())
}

fn list_query(filter: &Filter, wanted: usize) -> Vec<(&'static str, String)> {
    let mut query = vec![("limit", wanted.clamp(1, PAGE).to_string())];
    query.extend(filter.live.then(|| ("live", "true".to_owned())));
    query.extend(filter.agent.clone().map(|agent| ("agent", agent)));
    query.extend(filter.status.clone().map(|status| ("status", status)));
    query.extend(filter.name.clone().map(|name| ("name", name)));
    query.extend(filter.session_id.clone().map(|session| ("session_id", session)));
    query.extend(filter.labels.iter().map(|(key, value)| ("label", format!("{key}={value}"))));
    query.extend(filter.parent_run_id.iter().map(|run| ("parent_run_id", run.to_string())));
    if let [kind] = filter.kinds.as_slice() {
        let word = match kind {
            RunKind::Job => "job",
            RunKind::Heartbeat => "heartbeat",
            RunKind::Service => "service",
        };
        query.push(("kind", word.to_owned()));
    }
    query
}
