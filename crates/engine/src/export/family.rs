//! Runs of an export: one run, or a coordinator with all its descendants.

use std::collections::{BTreeMap, BTreeSet};

use errand_agent::parcel;
use errand_api::agent_file::Agent;
use errand_model::event::{EventBody, StepStarted};
use errand_model::{Digest, Event, RunId};
use errand_store::{Stored, blobs_of};

use super::options::Wanted;
use crate::error::RunLive;
use crate::export::ChildRemoved;
use crate::{Engine, Error, parcels, wait};

/// Events read at once.
const PAGE: u32 = 5_000;

/// The runs of an export, with the blobs and parcels that they need.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// All runs. `None` for a run that is over: it does not change, so it is loaded again when
    /// needed.
    pub(super) runs: BTreeMap<RunId, Option<Box<Stored>>>,
    /// Blobs that the journals name.
    pub(super) blobs: BTreeSet<Digest>,
    /// Parcels of the runs' agents.
    pub(super) parcels: BTreeSet<Digest>,
}

impl Family {
    /// Collects a run and, unless `wanted.own`, all its descendants.
    ///
    /// # Errors
    ///
    /// [`super::ChildRemoved`], [`crate::error::RunLive`]; if a journal cannot be verified.
    pub(super) async fn of(engine: &Engine, run_id: &RunId, wanted: Wanted) -> Result<Self, Error> {
        let mut family = Self::default();
        let mut named = BTreeSet::new();
        let mut waiting = family.take(engine, wait::load(engine, run_id).await?, wanted).await?;
        named.extend(waiting.1);
        while let Some((step, child)) = waiting.0.pop() {
            if family.runs.contains_key(&child) {
                continue;
            }
            let Some(stored) = engine.store().load(&child).await? else {
                return Err(ChildRemoved { run_id: run_id.clone(), step, child }.into());
            };
            let (below, more) = family.take(engine, stored, wanted).await?;
            waiting.0.extend(below);
            named.extend(more);
        }
        family.close(engine, named)?;
        Ok(family)
    }

    /// Adds a run. Returns the steps that are runs, and the agents that its plan names.
    async fn take(
        &mut self,
        engine: &Engine,
        stored: Stored,
        wanted: Wanted,
    ) -> Result<(Vec<(String, RunId)>, Vec<Digest>), Error> {
        let (run_id, spec) = (stored.run.id.clone(), &stored.run.spec);
        let is_over = stored.run.status.is_terminal();
        if !is_over && !wanted.live {
            return Err(RunLive { run_id }.into());
        }
        let plan = spec.plan.as_ref().filter(|_| !wanted.own);
        let agents = plan.iter().flat_map(|plan| plan.agents.values());
        let named = agents.map(|agent| agent.digest.clone()).collect();
        self.parcels.insert(spec.agent.digest.clone());
        let coordinates = plan.is_some();
        let mut children = Vec::new();
        journal(engine, &stored, |event| {
            self.blobs.extend(blobs_of(event));
            children.extend(child(event).filter(|_| coordinates));
        })
        .await?;
        // A live run changes meanwhile: the whole export shows it as it is now.
        self.runs.insert(run_id, (!is_over).then(|| Box::new(stored)));
        Ok((children, named))
    }

    /// Adds the agents of the plans, and those packed with them, as far as they are in the
    /// registry: an agent that never ran is needed by nothing in the export.
    fn close(&mut self, engine: &Engine, named: BTreeSet<Digest>) -> Result<(), Error> {
        let mut waiting: Vec<Digest> = named.into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(digest) = waiting.pop() {
            if !seen.insert(digest.clone()) {
                continue;
            }
            parcels::fetch(engine, &digest)?;
            match parcel::open(&engine.registry().parcels(), &digest) {
                Ok(parcel) => {
                    waiting.extend(members(&parcel.agent));
                    self.parcels.insert(digest);
                }
                Err(_) if !self.parcels.contains(&digest) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Returns the coordinator's step that an event starts as a run, and the run's id.
pub(super) fn child(event: &Event) -> Option<(String, RunId)> {
    if event.kind != "step.started" {
        return None;
    }
    let Ok(EventBody::StepStarted(StepStarted { key, run_id, .. })) = event.body() else {
        return None;
    };
    Some((key, run_id?))
}

/// Returns the digests of the agents packed with a coordinator.
pub(super) fn members(agent: &Agent) -> impl Iterator<Item = Digest> + '_ {
    let agents = agent.coordinator.iter().flat_map(|coordinator| coordinator.agents.values());
    agents.filter_map(|member| member.digest.clone())
}

/// Calls `take` with each event of a run, verified, up to the head in `stored`.
///
/// # Errors
///
/// [`errand_store::Error::Damaged`] if an event is missing or its hash does not match.
pub(super) async fn journal(
    engine: &Engine,
    stored: &Stored,
    mut take: impl FnMut(&Event) + Send,
) -> Result<(), Error> {
    let run_id = &stored.run.id;
    let mut head = errand_model::Head::EMPTY;
    while head.seq < stored.head.seq {
        let events = engine.store().events(run_id, head.seq, PAGE).await?;
        let damaged = |reason| errand_store::Error::Damaged { run_id: run_id.to_string(), reason };
        if events.is_empty() {
            return Err(damaged(format!("event {} is missing", head.seq + 1)).into());
        }
        for event in events.iter().take_while(|event| event.seq <= stored.head.seq) {
            head.verify(event).map_err(|broken| damaged(broken.to_string()))?;
            take(event);
        }
    }
    Ok(())
}
