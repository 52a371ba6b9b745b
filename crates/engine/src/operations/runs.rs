//! Reads of runs: search, lists, records, waits, traces and usage.

use async_trait::async_trait;
use errand_api::bom_page::BomGeneration;
use errand_api::brief::BriefPage;
use errand_api::gateway::run_find::FoundRun;
use errand_api::graph::Graph;
use errand_api::message::MessagePage;
use errand_api::record::RunRecord;
use errand_api::trace::Trace;
use errand_api::usage::{USAGE_SCHEMA, UsageDocument};
use errand_api::verification::Verification;
use errand_model::event::{MessageType, RunKind};
use errand_model::price::Day;
use errand_model::{RunId, Timestamp};
use errand_store::{Filter, Namespaces, Page, Stored, UsageBy, UsageFilter};
use serde_json::Value;
use tokio::time::Instant;

use super::local::{LocalError, LocalOperations};
use crate::error::PayloadRefused;
use crate::view::{self, TraceAsk};
use crate::wait::{self, WaitEnd};
use crate::{Engine, Error, evidence, reconcile, sweep, values};

/// Most runs listed for a text: a person chooses among few.
const NAMED_RUNS: usize = 6;
/// Most runs searched for them: some may be of other namespaces.
const LOOKED_AT: u32 = 100;

/// Selects runs for a list, newest first.
#[derive(Clone, Debug)]
pub struct RunListQuery {
    /// Conditions that must all hold.
    pub filter: Filter,
    /// Includes runs that another run started, such as wakes of services and steps of coordinators.
    pub with_children: bool,
    /// Only runs that were admitted then or later.
    pub since: Option<Timestamp>,
    /// Only runs older than that one.
    pub after: Option<RunId>,
    /// Largest number of runs.
    pub limit: u32,
}

impl RunListQuery {
    /// Returns whether a list shows a run with that parent and of that kind: a child is shown if
    /// children are asked for, or if it is a service itself.
    pub fn shows(&self, parent: Option<&RunId>, kind: RunKind) -> bool {
        self.with_children
            || self.filter.parent_run_id.is_some()
            || parent.is_none()
            || kind == RunKind::Service
    }
}

/// Runs of a list.
#[derive(Debug)]
pub struct RunList<E> {
    /// Records, newest first.
    pub runs: Vec<RunRecord>,
    /// Set if more runs may match: the value of `after` for the next query.
    pub next: Option<RunId>,
    /// Errors of single runs: a run that cannot be read is left out, one that cannot be reconciled
    /// is listed as it is stored.
    pub errors: Vec<E>,
}

/// Selects usage to be summed up.
#[derive(Clone, Debug)]
pub struct UsageQuestion {
    /// Grouping of rows.
    pub by: UsageBy,
    /// Grouping as the caller wrote it.
    pub by_word: String,
    /// Only runs of that agent.
    pub agent: Option<String>,
    /// Only that run.
    pub run_id: Option<RunId>,
    /// First day; `None`: from the beginning.
    pub since: Option<Day>,
    /// Last day; `None`: until today.
    pub until: Option<Day>,
}

/// Reads runs.
#[async_trait]
pub trait RunOperations<E: Send + 'static>: Send + Sync {
    /// Lists the runs that a part of an id, or a name, may mean: at most six, newest first.
    async fn find_runs(&self, text: &str) -> Result<Vec<FoundRun>, E>;

    /// Lists runs, newest first.
    async fn list_runs(&self, query: &RunListQuery) -> Result<RunList<E>, E>;

    /// Lists all runs that the query selects, newest first: page after page, at most `most` runs.
    async fn all_runs(
        &self,
        mut query: RunListQuery,
        most: Option<usize>,
    ) -> Result<RunList<E>, E> {
        let most = most.unwrap_or(usize::MAX);
        let mut all = RunList { runs: Vec::new(), next: None, errors: Vec::new() };
        loop {
            let left = most.saturating_sub(all.runs.len());
            query.limit = query.limit.min(u32::try_from(left).unwrap_or(u32::MAX));
            let page = self.list_runs(&query).await?;
            all.runs.extend(page.runs);
            all.errors.extend(page.errors);
            query.after = page.next;
            if query.after.is_none() || all.runs.len() >= most {
                all.runs.truncate(most);
                return Ok(all);
            }
        }
    }

    /// Returns the record of a run as answers have it: long values are links.
    async fn record(&self, run_id: &RunId) -> Result<RunRecord, E>;

    /// Returns the record of a run with its usage by step and its values, however long.
    async fn inspect(&self, run_id: &RunId) -> Result<RunRecord, E>;

    /// Fills the input and the output of a run into its record if they are links.
    async fn fill_in_values(&self, record: &mut RunRecord) -> Result<(), E>;

    /// Returns the manifest of a run: kind `Run`, with metadata, spec and status.
    async fn manifest(&self, run_id: &RunId) -> Result<Value, E>;

    /// Waits until a run is over, at most until `deadline`. Returns its record as it is then.
    async fn wait(&self, run_id: &RunId, deadline: Option<Instant>) -> Result<RunRecord, E>;

    /// Returns the brief of a run.
    async fn brief(&self, run_id: &RunId) -> Result<BriefPage, E>;

    /// Returns the trace of a run.
    async fn trace(&self, run_id: &RunId, ask: TraceAsk) -> Result<Trace, E>;

    /// Returns the communication graph of a coordinated run.
    async fn graph(&self, run_id: &RunId) -> Result<Graph, E>;

    /// Lists messages of a run: after place `part.0` in its journal, at most `part.1`.
    async fn messages(
        &self,
        run_id: &RunId,
        part: (u64, usize),
        kind: Option<MessageType>,
    ) -> Result<MessagePage, E>;

    /// Verifies a run: compares its journal with its hashes and files.
    async fn verify(&self, run_id: &RunId) -> Result<Verification, E>;

    /// Verifies all runs, oldest first, and passes each result on at once.
    async fn verify_all(
        &self,
        take: &mut (dyn FnMut(Verification) -> Result<(), E> + Send),
    ) -> Result<(), E>;

    /// Sums up the usage of calls.
    async fn usage(&self, question: UsageQuestion) -> Result<UsageDocument, E>;

    /// Lists generations of an agent's inventory, the latest first; at most `last`.
    async fn boms(&self, agent: &str, last: Option<u32>) -> Result<Vec<BomGeneration>, E>;
}

#[async_trait]
impl<E: LocalError> RunOperations<E> for LocalOperations {
    async fn find_runs(&self, text: &str) -> Result<Vec<FoundRun>, E> {
        let store = self.engine().store();
        let (ids, is_any) = match self.namespaces() {
            Namespaces::All => {
                (store.find(text, u32::try_from(NAMED_RUNS).unwrap_or(u32::MAX)).await?, true)
            }
            Namespaces::One(_) => (store.find(text, LOOKED_AT).await?, false),
        };
        let is_only_one = ids.len() == 1;
        let mut runs = Vec::new();
        for run_id in ids {
            // The only match is meant, even if its record is damaged.
            if is_any && is_only_one {
                return Ok(vec![FoundRun { run_id, name: None, is_live: false }]);
            }
            let Some(Stored { run, .. }) = store.load(&run_id).await? else { continue };
            if is_any || run.spec.namespace.as_deref() == self.namespace() {
                let is_live = !run.status.is_terminal();
                runs.push(FoundRun { run_id, name: run.spec.name.clone(), is_live });
            }
            if runs.len() == NAMED_RUNS {
                break;
            }
        }
        Ok(runs)
    }

    async fn list_runs(&self, query: &RunListQuery) -> Result<RunList<E>, E> {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        // A server sweeps by itself, and its callers do not wait for that.
        if query.after.is_none() && self.engine().records_environment() {
            sweep::sweep(self.engine()).await;
        }
        // An additional run shows that there are more; many children may be left out.
        let spare = if query.with_children { 1 } else { query.limit / 2 + 10 };
        let mut page =
            Page { after: query.after.clone(), limit: query.limit.saturating_add(spare) };
        let filter = Filter { namespaces: self.namespaces().clone(), ..query.filter.clone() };
        let mut list = RunList { runs: Vec::new(), next: None, errors: Vec::new() };
        loop {
            let (found, damaged) = self.engine().store().list(&filter, &page).await?;
            list.errors.extend(damaged.into_iter().map(E::from));
            let is_last = found.len() < usize::try_from(page.limit).unwrap_or(usize::MAX);
            for stored in found {
                // The newest come first: all that follow are older.
                if query.since.is_some_and(|since| stored.run.created_at < since) {
                    return Ok(list);
                }
                if list.runs.len() >= limit {
                    list.next = page.after;
                    return Ok(list);
                }
                page.after = Some(stored.run.id.clone());
                let spec = &stored.run.spec;
                if !query.shows(spec.parent_run_id.as_ref(), spec.kind) {
                    continue;
                }
                let (stored, error) = reconciled(self.engine(), stored).await;
                list.errors.extend(error.map(E::from));
                // Reconciliation finds that some are over.
                if !(filter.live && stored.run.status.is_terminal()) {
                    list.runs.push(view::listed(self.engine(), &stored).await?);
                }
            }
            if is_last {
                return Ok(list);
            }
        }
    }

    async fn record(&self, run_id: &RunId) -> Result<RunRecord, E> {
        let stored = wait::load(self.engine(), run_id).await?;
        Ok(view::answered(self.engine(), &reconcile::reconcile(self.engine(), stored).await?)
            .await?)
    }

    async fn inspect(&self, run_id: &RunId) -> Result<RunRecord, E> {
        Ok(view::record(self.engine(), run_id).await?)
    }

    async fn fill_in_values(&self, record: &mut RunRecord) -> Result<(), E> {
        let stored = wait::load(self.engine(), &record.run_id).await?;
        values::put_in(self.engine(), &stored.run, record, u64::MAX);
        Ok(())
    }

    async fn manifest(&self, run_id: &RunId) -> Result<Value, E> {
        let manifest = view::manifest(self.engine(), run_id).await?;
        Ok(serde_json::to_value(manifest).map_err(|error| PayloadRefused {
            reason: format!("the manifest cannot be written as JSON: {error}"),
        })?)
    }

    async fn wait(&self, run_id: &RunId, deadline: Option<Instant>) -> Result<RunRecord, E> {
        let (WaitEnd::Reached(stored) | WaitEnd::TimedOut(stored)) =
            wait::until_over(self.engine(), run_id, deadline).await?;
        Ok(crate::record_file::record(self.engine(), &stored))
    }

    async fn brief(&self, run_id: &RunId) -> Result<BriefPage, E> {
        Ok(view::brief_page(self.engine(), run_id).await?)
    }

    async fn trace(&self, run_id: &RunId, ask: TraceAsk) -> Result<Trace, E> {
        Ok(view::trace(self.engine(), run_id, ask).await?)
    }

    async fn graph(&self, run_id: &RunId) -> Result<Graph, E> {
        Ok(view::graph(self.engine(), run_id).await?)
    }

    async fn messages(
        &self,
        run_id: &RunId,
        part: (u64, usize),
        kind: Option<MessageType>,
    ) -> Result<MessagePage, E> {
        Ok(view::sent_messages(self.engine(), run_id, part, kind).await?)
    }

    async fn verify(&self, run_id: &RunId) -> Result<Verification, E> {
        let verified = evidence::verify_run(self.engine(), run_id).await?;
        Ok(view::verification(run_id.as_str(), &verified))
    }

    async fn verify_all(
        &self,
        take: &mut (dyn FnMut(Verification) -> Result<(), E> + Send),
    ) -> Result<(), E> {
        evidence::verify_all(self.engine(), |verified| {
            take(view::verification(verified.run_id.as_str(), &verified))
        })
        .await
    }

    async fn usage(&self, question: UsageQuestion) -> Result<UsageDocument, E> {
        let UsageQuestion { by, by_word, agent, run_id, since, until } = question;
        let is_by_session = by == UsageBy::Session;
        let namespaces = self.namespaces().clone();
        let query = UsageFilter { namespaces, by, since, until, agent, run_id };
        let found = self.engine().store().usage(&query).await?;
        let mut rows: Vec<_> = found.rows.into_iter().map(view::usage_sums).collect();
        if is_by_session {
            for row in &mut rows {
                row.key = row.key.take().map(|stored| self.own_name(&stored));
            }
        }
        Ok(UsageDocument {
            schema: USAGE_SCHEMA,
            by: by_word,
            since: since.map(|day| day.to_string()),
            until: until.map(|day| day.to_string()),
            rows,
            total: view::usage_sums(found.total),
        })
    }

    async fn boms(&self, agent: &str, last: Option<u32>) -> Result<Vec<BomGeneration>, E> {
        let stored_name = self.stored_name(agent);
        let found = self.engine().store().boms(&stored_name, last.unwrap_or(u32::MAX)).await?;
        let mut boms = view::boms(found);
        for bom in &mut boms {
            bom.agent = self.own_name(&bom.agent);
        }
        Ok(boms)
    }
}

/// Reconciles a run for a list. One that cannot be reconciled is returned as it is stored: it must
/// not hide the others.
async fn reconciled(engine: &Engine, stored: Stored) -> (Stored, Option<Error>) {
    let as_stored = stored.clone();
    match reconcile::reconcile(engine, stored).await {
        Ok(stored) => (stored, None),
        Err(error) => (as_stored, Some(error.into())),
    }
}
