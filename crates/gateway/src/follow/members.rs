//! Which runs belong to a set that is followed, and how far each of them was told.

use std::collections::{BTreeMap, HashMap, HashSet};

use errand_engine::Engine;
use errand_model::RunId;
use errand_model::run::Run;
use errand_store::{Error, Filter, Namespaces, Page, Stored};

/// Live runs that one set may have: each of them is remembered.
pub(crate) const RUNS_LIMIT: usize = 10_000;
/// Runs that are not of the set, or are over, of which as many are remembered twice.
const PASSED_LIMIT: usize = 10_000;
/// Runs that are read at once.
const PAGE: u32 = 200;

/// Which runs are followed. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Which {
    /// Namespaces whose runs are selected.
    pub(crate) namespaces: Namespaces,
    /// Only runs of the agent of that name.
    pub(crate) agent: Option<String>,
    /// Only runs of that session, under the name that it is kept under.
    pub(crate) session_id: Option<String>,
    /// Only runs with all these labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Only while a run has that status.
    pub(crate) status: Option<String>,
}

impl Which {
    /// What never changes of it, as the store knows it.
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            namespaces: self.namespaces.clone(),
            agent: self.agent.clone(),
            session_id: self.session_id.clone(),
            labels: self.labels.clone(),
            ..Filter::default()
        }
    }

    /// Whether a run is of the set, whatever its status.
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

/// The runs of a set, and how far each was told.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Live runs, by the number of the last event that was told.
    told: HashMap<RunId, u64>,
    /// Runs of which nothing more is told, and those before them.
    passed: [HashSet<RunId>; 2],
}

impl Members {
    /// How far a run of the set was told; `None` if it is none. One that was never heard of is read.
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

    /// A run was told up to an event.
    pub(super) fn tell(&mut self, run_id: &RunId, seq: u64) {
        self.told.insert(run_id.clone(), seq);
    }

    /// Nothing more is told of a run.
    pub(super) fn pass(&mut self, run_id: &RunId) {
        self.told.remove(run_id);
        let [recent, before] = &mut self.passed;
        if recent.len() >= PASSED_LIMIT {
            *before = std::mem::take(recent);
        }
        recent.insert(run_id.clone());
    }

    /// Whether a run was heard of.
    pub(super) fn knows(&self, run_id: &RunId) -> bool {
        self.told.contains_key(run_id) || self.passed.iter().any(|passed| passed.contains(run_id))
    }

    /// The runs that something may come of.
    pub(super) fn live(&self) -> Vec<RunId> {
        self.told.keys().cloned().collect()
    }
}

/// All runs of a filter, newest first, until `enough` says so of one.
pub(super) async fn list(
    engine: &Engine,
    filter: &Filter,
    mut enough: impl FnMut(&Stored) -> bool + Send,
) -> Result<Vec<Stored>, Error> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        // A damaged run has no events that could be told.
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
