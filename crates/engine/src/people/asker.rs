//! The run that asks, where a person answers a coordinator.

use std::collections::BTreeMap;

use errand_model::RunId;
use errand_model::coordination::{DEPTH_LIMIT, HANDOFF_LIMIT};
use errand_model::run::{QuestionKind, Rejection, Run};
use errand_store::{Namespaces, Questions};

use super::{Error, ListedQuestion, OpenQuestion, list};
use crate::Engine;

/// Returns the run that a person means who answers a coordinator: the only run below it that asks,
/// or the coordinator itself if none does. `id` is that of the question, where it is given.
///
/// # Errors
///
/// [`Rejection::Several`] if several runs ask; if the registry fails.
pub(crate) async fn asker(
    engine: &Engine,
    coordinator: &Run,
    what: QuestionKind,
    id: Option<&str>,
) -> Result<RunId, Error> {
    let run_id = &coordinator.id;
    let whose = Namespaces::One(coordinator.spec.namespace.clone());
    let mut family = Family { engine, parents: BTreeMap::new() };
    let mut open: Vec<(RunId, String)> = Vec::new();
    for listed in list(engine, Questions::Open, &whose).await? {
        let Some((question, line)) = told(&listed, what) else { continue };
        let is_meant = id.is_none_or(|id| id == question);
        if is_meant && family.is_below(&listed, run_id).await? {
            open.push((listed.run_id, line));
        }
    }
    match open.as_slice() {
        // Without an open question, the coordinator's own record names the last ones.
        [] => Ok(run_id.clone()),
        [(only, _)] => Ok(only.clone()),
        [_, ..] => {
            let open = open.into_iter().map(|(_, line)| line).collect();
            Err(Rejection::Several { run_id: run_id.clone(), what, open }.into())
        }
    }
}

/// Returns the id of a question of that kind, and a line about it.
fn told(listed: &ListedQuestion, wanted: QuestionKind) -> Option<(String, String)> {
    let (run_id, agent) = (&listed.run_id, &listed.agent);
    match (&listed.question, wanted) {
        (OpenQuestion::Approval(it), QuestionKind::Approval) => {
            let about = format!("{} on {} ({})", it.action, it.target, it.digest);
            Some((
                it.approval_id.clone(),
                format!("  {run_id}  {agent}  {}  {about}", it.approval_id),
            ))
        }
        (OpenQuestion::Input(it), QuestionKind::Input) => Some((
            it.input_id.clone(),
            format!("  {run_id}  {agent}  {}  {}", it.input_id, it.prompt),
        )),
        (OpenQuestion::Approval(_), QuestionKind::Input)
        | (OpenQuestion::Input(_), QuestionKind::Approval) => None,
    }
}

/// Parents of runs, as far as they were loaded.
struct Family<'e> {
    engine: &'e Engine,
    parents: BTreeMap<RunId, Option<RunId>>,
}

impl Family<'_> {
    async fn is_below(&mut self, listed: &ListedQuestion, ancestor: &RunId) -> Result<bool, Error> {
        let mut parent = listed.parent_run_id.clone();
        for _ in 0..DEPTH_LIMIT + HANDOFF_LIMIT {
            let Some(run_id) = parent else { return Ok(false) };
            if run_id == *ancestor {
                return Ok(true);
            }
            parent = self.parent(&run_id).await?;
        }
        Ok(false)
    }

    async fn parent(&mut self, run_id: &RunId) -> Result<Option<RunId>, Error> {
        if let Some(known) = self.parents.get(run_id) {
            return Ok(known.clone());
        }
        let stored = self.engine.store().load(run_id).await?;
        let parent = stored.and_then(|stored| stored.run.spec.parent_run_id.clone());
        self.parents.insert(run_id.clone(), parent.clone());
        Ok(parent)
    }
}
