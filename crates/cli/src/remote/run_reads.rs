//! Runs of a server: found, listed, inspected, waited for, summed up.

use std::time::Duration;

use async_trait::async_trait;
use errand_api::bom_page::{BomGeneration, BomPage};
use errand_api::brief::BriefPage;
use errand_api::gateway::run::RunPage;
use errand_api::gateway::run_find::{FoundRun, FoundRuns};
use errand_api::graph::Graph;
use errand_api::message::MessagePage;
use errand_api::record::RunRecord;
use errand_api::trace::Trace;
use errand_api::usage::UsageDocument;
use errand_api::verification::Verification;
use errand_engine::operations::{RunList, RunListQuery, RunOperations, UsageQuestion};
use errand_engine::view::TraceAsk;
use errand_model::RunId;
use errand_model::event::{MessageType, RunKind};
use errand_store::{Filter, UsageBy};
use serde_json::Value;
use tokio::time::Instant;

use super::Remote;
use super::answer::not_a_server;
use super::patience::Patience;
use crate::failure::Failure;

/// Largest page of runs that a server gives.
const PAGE: u32 = 500;
/// Most spans in a server's answer.
const LARGEST_TRACE: usize = 100_000;
/// Time after which the server answers that nothing happened: a proxy may cut longer silence off.
const WAIT: Duration = Duration::from_secs(30);

#[async_trait]
impl RunOperations<Failure> for Remote {
    async fn find_runs(&self, text: &str) -> Result<Vec<FoundRun>, Failure> {
        let found: FoundRuns = self.query(&["find-runs"], &[("text", text.to_owned())]).await?;
        Ok(found.runs)
    }

    async fn list_runs(&self, query: &RunListQuery) -> Result<RunList<Failure>, Failure> {
        let filter = &query.filter;
        let page: RunPage = self.query(&["runs"], &list_query(query)).await?;
        let next = page.next_cursor.map(|cursor| {
            cursor.parse().map_err(|_| not_a_server(self.url(), "a cursor of it cannot be read"))
        });
        let mut next = next.transpose()?;
        let mut runs = Vec::new();
        for record in page.runs {
            if query.since.is_some_and(|since| record.created_at_ms < since) {
                // The newest come first: all that follow are older.
                next = None;
                break;
            }
            let is_of_kind = filter.kinds.is_empty() || filter.kinds.contains(&record.kind);
            if is_of_kind && query.shows(record.parent_run_id.as_ref(), record.kind) {
                runs.push(record);
            }
        }
        Ok(RunList { runs, next, errors: Vec::new() })
    }

    async fn record(&self, run_id: &RunId) -> Result<RunRecord, Failure> {
        self.get(&["runs", run_id.as_str()]).await
    }

    async fn inspect(&self, run_id: &RunId) -> Result<RunRecord, Failure> {
        let mut record = self.record(run_id).await?;
        self.fill_in_values(&mut record).await?;
        if record.counters.model_calls + record.counters.tool_calls > 0 {
            let question = UsageQuestion {
                by: UsageBy::Step,
                by_word: "step".to_owned(),
                agent: None,
                run_id: Some(run_id.clone()),
                since: None,
                until: None,
            };
            record.usage.by_step = self.usage(question).await?.rows;
        }
        Ok(record)
    }

    async fn fill_in_values(&self, record: &mut RunRecord) -> Result<(), Failure> {
        self.complete(record).await
    }

    async fn manifest(&self, run_id: &RunId) -> Result<Value, Failure> {
        self.get(&["runs", run_id.as_str(), "manifest"]).await
    }

    async fn wait(&self, run_id: &RunId, deadline: Option<Instant>) -> Result<RunRecord, Failure> {
        let mut patience = Patience::with(self);
        loop {
            let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            let wait = left.map_or(WAIT, |left| left.min(WAIT));
            let query = [("timeout", format!("{}ms", wait.as_millis().max(1)))];
            let waited = self.query::<RunRecord>(&["runs", run_id.as_str(), "wait"], &query).await;
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

    async fn brief(&self, run_id: &RunId) -> Result<BriefPage, Failure> {
        self.get(&["runs", run_id.as_str(), "brief"]).await
    }

    async fn trace(&self, run_id: &RunId, ask: TraceAsk) -> Result<Trace, Failure> {
        let limit = ask.limit.clamp(1, LARGEST_TRACE).to_string();
        let query = [("limit", limit), ("depth", ask.depth.to_string())];
        let trace: Trace = self.query(&["runs", run_id.as_str(), "trace"], &query).await?;
        Ok(trace.shortened(ask.limit))
    }

    async fn graph(&self, run_id: &RunId) -> Result<Graph, Failure> {
        self.get(&["runs", run_id.as_str(), "graph"]).await
    }

    async fn messages(
        &self,
        run_id: &RunId,
        (after, limit): (u64, usize),
        kind: Option<MessageType>,
    ) -> Result<MessagePage, Failure> {
        let mut query = vec![("after", after.to_string()), ("limit", limit.to_string())];
        query.extend(kind.map(|kind| ("type", kind.word().to_owned())));
        self.query(&["runs", run_id.as_str(), "messages"], &query).await
    }

    async fn verify(&self, run_id: &RunId) -> Result<Verification, Failure> {
        self.get(&["runs", run_id.as_str(), "verify"]).await
    }

    async fn verify_all(
        &self,
        take: &mut (dyn FnMut(Verification) -> Result<(), Failure> + Send),
    ) -> Result<(), Failure> {
        let all = RunListQuery {
            filter: Filter::default(),
            with_children: true,
            since: None,
            after: None,
            limit: PAGE,
        };
        for record in self.all_runs(all, None).await?.runs.iter().rev() {
            take(self.verify(&record.run_id).await?)?;
        }
        Ok(())
    }

    async fn usage(&self, question: UsageQuestion) -> Result<UsageDocument, Failure> {
        let mut query = vec![("by", question.by_word)];
        query.extend(question.agent.map(|agent| ("agent", agent)));
        query.extend(question.run_id.map(|run_id| ("run_id", run_id.to_string())));
        query.extend(question.since.map(|day| ("since", day.to_string())));
        query.extend(question.until.map(|day| ("until", day.to_string())));
        self.query(&["usage"], &query).await
    }

    async fn boms(&self, agent: &str, last: Option<u32>) -> Result<Vec<BomGeneration>, Failure> {
        let last = last.map(|last| ("last", last.to_string()));
        let page: BomPage = self.query(&["boms", agent], last.as_slice()).await?;
        Ok(page.boms)
    }
}

fn list_query(list: &RunListQuery) -> Vec<(&'static str, String)> {
    let filter = &list.filter;
    let mut query = vec![("limit", list.limit.clamp(1, PAGE).to_string())];
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
    query.extend(list.after.iter().map(|after| ("cursor", after.to_string())));
    query
}
