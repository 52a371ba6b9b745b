//! Children that a coordinator starts: their inheritance, and checks before they exist.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_agent::parcel::Parcel;
use errand_model::Digest;
use errand_model::Timestamp;
use errand_model::coordination::{InputMaterial, Start};
use errand_model::error_code::ErrorCode;
use errand_model::event::{AgentRef, Failure, RunKind, Trigger, TriggerKind};
use errand_model::placement::{Placement, PlacementDemands};
use errand_model::plan::Membership;
use errand_model::run::Run;
use errand_store::Admission;
use serde_json::Value;

use super::{earlier_try, material};
use crate::admit;
use crate::error::CodedError as _;
use crate::run_options::RunOptions;
use crate::submission::{self, CheckedSubmission, Draft, Lineage, Submission};
use crate::{Engine, Error, parcels};

/// Agents of one coordinator, as they were opened for a turn.
#[derive(Debug, Default)]
pub(super) struct Opened {
    parcels: BTreeMap<Digest, Parcel>,
    /// Lists in the coordinator's input whose items are given out, by member.
    items: BTreeMap<String, Vec<Value>>,
}

impl Opened {
    fn open(&mut self, engine: &Engine, agent: &AgentRef) -> Result<Parcel, Error> {
        if let Some(parcel) = self.parcels.get(&agent.digest) {
            return Ok(parcel.clone());
        }
        let parcel = parcels::open(engine, &agent.digest)?;
        self.parcels.insert(agent.digest.clone(), parcel.clone());
        Ok(parcel)
    }

    /// Returns the input of a child. A list is read once, however many of its items are given out.
    fn input(
        &mut self,
        engine: &Engine,
        coordinator: &Run,
        input: &InputMaterial,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let InputMaterial::Item { member, index } = input else {
            return material::bytes(engine, coordinator, input);
        };
        if !self.items.contains_key(member) {
            let items = material::items(engine, coordinator, member)?;
            self.items.insert(member.clone(), items);
        }
        let index = usize::try_from(*index).unwrap_or(usize::MAX);
        match self.items.get(member).and_then(|items| items.get(index)) {
            Some(item) => Ok(Some(crate::payload::input_of_value(item))),
            // Returns the failure, which names the missing item.
            None => material::bytes(engine, coordinator, input),
        }
    }
}

/// Returns the admission of a child. The inner error says why its agent refuses the input.
///
/// # Errors
///
/// If the registry or the blob store fails.
pub(super) async fn admission(
    engine: &Engine,
    coordinator: &Run,
    (start, opened): (&Start, &mut Opened),
    now: Timestamp,
) -> Result<Result<Admission, Failure>, Error> {
    let refused = |code: ErrorCode, message: String| {
        Ok(Err(Failure::new(code, message).at_step(Some(start.key.clone())).for_good()))
    };
    let agent = coordinator.spec.plan.as_ref().and_then(|plan| plan.agents.get(&start.name));
    let Some(agent) = agent else {
        return refused(ErrorCode::Internal, format!("the plan has no agent {:?}", start.name));
    };
    let parcel = match opened.open(engine, agent) {
        Ok(parcel) => parcel,
        Err(error @ Error::Parcel(_)) => return refused(error.code(), error.to_string()),
        Err(error) => return Err(error),
    };
    let input = match opened.input(engine, coordinator, &start.input) {
        Ok(input) => input,
        Err(failure) => return Ok(Err(Failure { step: Some(start.key.clone()), ..failure })),
    };
    let spec = &coordinator.spec;
    let files = parcel.files_path();
    let draft = Draft {
        agent: &parcel.agent,
        files: &files,
        kind: RunKind::Job,
        input: input.as_deref(),
        env: &spec.env,
    };
    let checked = match submission::check_elsewhere(engine.surroundings(), &draft) {
        Ok(checked) => checked,
        Err(error) => return refused(error.code(), error.to_string()),
    };
    let options = options(coordinator, start, &parcel, now);
    let member = Membership {
        coordinator: coordinator.id.clone(),
        key: start.key.clone(),
        name: start.name.clone(),
        depth: spec.member.as_ref().map_or(0, |member| member.depth) + 1,
        sends_to: start.sends_to.clone(),
        previous: start.previous.clone(),
    };
    let mut lineage = Lineage::default();
    let mut origin = None;
    if parcel.agent.coordinator.is_some() {
        let same = (&parcel.digest, input.as_deref());
        let found = earlier_try::of(engine, (coordinator, &start.key), same).await?;
        (origin, lineage.heritage) = found.unzip();
    }
    let submission = Submission {
        parcel: parcel.into(),
        source: agent.path.clone(),
        kind: RunKind::Job,
        trigger: trigger(coordinator),
        input,
        options,
        service: None,
        parent: Some(coordinator.id.clone()),
        origin,
        member: Some(Box::new(member)),
        dependencies: None,
        lineage,
    };
    let submission = CheckedSubmission::of_draft(submission, checked);
    let admitted = admit::admission_as(engine, start.run_id.clone(), submission).await;
    match admitted.map_err(Error::from) {
        Ok(admission) => Ok(Ok(admission)),
        Err(error @ (Error::Store(_) | Error::Blob(_) | Error::Randomness(_))) => Err(error),
        Err(error) => refused(error.code(), error.to_string()),
    }
}

/// Returns the trigger of a run that a coordinator starts.
fn trigger(coordinator: &Run) -> Trigger {
    let source = Some(coordinator.id.to_string());
    Trigger { kind: TriggerKind::Upstream, source, payload: None }
}

/// Returns a child's options: the coordinator's labels, environment and namespace, and the rest of
/// its time.
fn options(coordinator: &Run, start: &Start, parcel: &Parcel, now: Timestamp) -> RunOptions {
    let spec = &coordinator.spec;
    let own_timeout = parcel.agent.timeouts.run_ms.map(Duration::from_millis);
    let left = coordinator.run_deadline().map(|deadline| deadline.since(now));
    RunOptions {
        labels: spec.labels.clone(),
        env: spec.env.clone(),
        budgets: start.budgets.clone(),
        timeout: [own_timeout, start.timeout, left].into_iter().flatten().min(),
        detached: true,
        cwd: spec.cwd.clone(),
        namespace: spec.namespace.clone(),
        placement: Some(placement(coordinator)),
        traceparent: spec.traceparent.clone(),
        tracestate: spec.tracestate.clone(),
        caller_env: spec.caller_env.clone(),
        ..RunOptions::default()
    }
}

/// Returns a child's placement: where its coordinator may go, with the needs of its own agent.
fn placement(coordinator: &Run) -> Placement {
    let own = coordinator.spec.placement.clone().unwrap_or_default();
    let demands =
        PlacementDemands { affinity: own.demands.affinity, ..PlacementDemands::default() };
    Placement { priority: own.priority, not_before: None, demands }
}
