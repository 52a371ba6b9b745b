//! Members of a set of runs, with the last event sent of each.

use std::collections::{BTreeMap, HashMap, HashSet};

use errand_engine::Engine;
use errand_model::RunId;
use errand_model::run::Run;
use errand_store::{Error, Filter, Namespaces, Page, Stored};

/// Live runs that a set may have: each of them is kept in memory.
pub(crate) const RUNS_LIMIT: usize = 10_000;
/// Runs outside of the set, or over, that one generation of the memory holds; there are two.
const PASSED_LIMIT: usize = 10_000;
/// Runs that are read at once.
const PAGE: u32 = 200;

/// Filter of the set. All given conditions must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Which {
    /// Namespaces whose runs are selected.
    pub(crate) namespaces: Namespaces,
    /// Limits the set to runs of this agent.
    pub(crate) agent: Option<String>,
    /// Limits the set to runs of this session, under its stored name.
    pub(crate) session_id: Option<String>,
    /// Limits the set to runs with all these labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Limits the set to runs while they have this status.
    pub(crate) status: Option<String>,
}

impl Which {
    /// Returns the conditions that never change for a run, as a filter of the store.
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            namespaces: self.namespaces.clone(),
            agent: self.agent.clone(),
            session_id: self.session_id.clone(),
            labels: self.labels.clone(),
            ..Filter::default()
        }
    }

    /// Returns true if a run is in the set, whatever its status.
    fn has(&self, run: &Run) -> bool {
        let spec = &run.spec;
        let is_theirs = match &self.namespaces {
            Namespaces::All => true,
            Namespaces::One(namespace) => *namespace == spec.namespace,
        };
        is_theirs
            && self.agent.as_ref().is_none_or(|agent| *agent == spec.agent.name)
            && self.session_id.as_ref().is_none_or(|id| spec.session_id.as_ref() == Some(id))
            && self.labels.iter().all(|(key, value)| spec.labels.get(key) == Some(value))
    }
}

/// The runs of a set, with the last event sent of each.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Live runs, with the number of the last event sent.
    told: HashMap<RunId, u64>,
    /// Runs without further events: the recent ones, and those before.
    passed: [HashSet<RunId>; 2],
}

impl Members {
    /// Returns the last event sent of a run of the set; `None` if it is not in the set. A new run
    /// is loaded.
    pub(super) async fn told(
        &mut self,
        engine: &Engine,
        which: &Which,
        run_id: &RunId,
    ) -> Result<Option<u64>, Error> {
        if let Some(told) = self.told.get(run_id) {
            return Ok(Some(*told));
        }
        if self.passed.iter().any(|passed| passed.contains(run_id)) {
            return Ok(None);
        }
        let stored = engine.store().load(run_id).await?;
        if stored.is_some_and(|stored| which.has(&stored.run)) && self.told.len() < RUNS_LIMIT {
            self.told.insert(run_id.clone(), 0);
            return Ok(Some(0));
        }
        self.pass(run_id);
        Ok(None)
    }

    /// Notes that events of a run were sent up to `seq`.
    pub(super) fn tell(&mut self, run_id: &RunId, seq: u64) {
        self.told.insert(run_id.clone(), seq);
    }

    /// Notes that no further events of a run are sent.
    pub(super) fn pass(&mut self, run_id: &RunId) {
        self.told.remove(run_id);
        let [recent, before] = &mut self.passed;
        if recent.len() >= PASSED_LIMIT {
            *before = std::mem::take(recent);
        }
        recent.insert(run_id.clone());
    }

    /// Returns true if the run was seen before.
    pub(super) fn knows(&self, run_id: &RunId) -> bool {
        self.told.contains_key(run_id) || self.passed.iter().any(|passed| passed.contains(run_id))
    }

    /// Returns the runs that may have further events.
    pub(super) fn live(&self) -> Vec<RunId> {
        self.told.keys().cloned().collect()
    }
}

/// Lists all runs of a filter, newest first, until `enough` returns true for one.
pub(super) async fn list(
    engine: &Engine,
    filter: &Filter,
    mut enough: impl FnMut(&Stored) -> bool + Send,
) -> Result<Vec<Stored>, Error> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        // A damaged run has no readable events.
        let (page, _damaged) = engine.store().list(filter, &Page { after, limit: PAGE }).await?;
        let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        after = page.last().map(|stored| stored.run.id.clone());
        for stored in page {
            if enough(&stored) || all.len() >= RUNS_LIMIT {
                return Ok(all);
            }
            all.push(stored);
        }
        if is_last {
            return Ok(all);
        }
    }
}
