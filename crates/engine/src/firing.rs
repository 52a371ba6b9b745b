//! Run input from a trigger that fired: the slot of a schedule, or a request from outside.
//!
//! Wakes of services, schedules and hooks of servers all make the submission of a run here. What is
//! due is decided by [`errand_model::schedule`].

use std::collections::BTreeMap;

use errand_agent::parcel::Parcel;
use errand_model::event::{OnBusy, RunKind, Trigger, TriggerKind};
use errand_model::placement::Placement;
use errand_model::{Timestamp, scoped};
use serde_json::{Value, json};

use crate::error::operation_error;
use crate::run_options::RunOptions;
use crate::submission::{self, CheckedSubmission, Submission};
use crate::{Engine, agents};

operation_error! {
    /// Error: a run of a registered agent cannot be made.
    pub enum Error {
        /// An agent is not registered.
        Agents(agents::Error),
        /// The request to run is refused.
        Submission(submission::Error),
    }
}

/// A trigger that fired: the cause of a run, and the input that it gives to the agent.
#[derive(Clone, Debug)]
pub(crate) struct FiredTrigger {
    /// Cause of the run.
    pub(crate) trigger: Trigger,
    /// Input of the agent; `None` for a heartbeat without input.
    pub(crate) input: Option<Vec<u8>>,
}

impl FiredTrigger {
    /// A slot of a schedule; `None` for one that fires on request.
    pub(crate) fn of_slot(
        source: &str,
        (schedule_id, slot): (&str, Option<Timestamp>),
        input: Option<Vec<u8>>,
    ) -> Self {
        let payload = json!({ "slot_ms": slot, "schedule_id": schedule_id });
        let kind = TriggerKind::Schedule;
        let trigger = Trigger { kind, source: Some(source.to_owned()), payload: Some(payload) };
        Self { trigger, input }
    }

    /// A request from outside, described by `facts`, in which credentials are masked.
    pub(crate) fn of_request(source: &str, facts: Value, input: Vec<u8>) -> Self {
        let kind = TriggerKind::Webhook;
        let trigger = Trigger { kind, source: Some(source.to_owned()), payload: Some(facts) };
        Self { trigger, input: Some(input) }
    }

    /// Returns the submission of the run. `source` is the place that the parcel was built from.
    pub(crate) fn submission(
        self,
        parcel: Parcel,
        source: String,
        options: RunOptions,
    ) -> Submission {
        let kind = if self.input.is_some() { RunKind::Job } else { RunKind::Heartbeat };
        let submission = Submission::new(parcel, source, kind, self.trigger, options);
        Submission { input: self.input, ..submission }
    }
}

/// A run of a registered agent, to be carried out by any worker.
#[derive(Clone, Debug)]
pub(crate) struct Firing {
    /// Namespace of the run.
    pub(crate) namespace: Option<String>,
    /// `name`, or `name@version`.
    pub(crate) agent: String,
    /// Cause and input.
    pub(crate) fired: FiredTrigger,
    /// Labels, which override the agent's.
    pub(crate) labels: BTreeMap<String, String>,
    /// Session that it belongs to, as the namespace names it.
    pub(crate) session_id: Option<String>,
}

impl Firing {
    /// Checks everything that can be checked without a worker.
    ///
    /// # Errors
    ///
    /// [`agents::AgentProblem::NotFound`], [`crate::schema::SchemaProblem::Input`], and other
    /// errors of agent and input.
    pub(crate) async fn check(&self, engine: &Engine) -> Result<CheckedSubmission, Error> {
        let (name, version) = agents::split_reference(&self.agent);
        let namespace = self.namespace.as_deref();
        let version = agents::find(engine, namespace, name, version).await?;
        let parcel = agents::open(engine, &version)?;
        let root = engine.registry().root();
        let session_id = self.session_id.as_ref().map(|id| scoped(namespace, id));
        let options = RunOptions {
            labels: self.labels.clone(),
            session_turn: session_id.as_ref().map(|_| OnBusy::Enqueue),
            session_id,
            detached: true,
            // Runs of a server start in the folder that contains its registry.
            cwd: root.parent().unwrap_or(root).display().to_string(),
            namespace: self.namespace.clone(),
            placement: Some(Placement::default()),
            ..RunOptions::default()
        };
        let submission = self.fired.clone().submission(parcel, version.source, options);
        Ok(CheckedSubmission::for_any_worker(engine, submission)?)
    }
}

/// Returns true if a text can name a session of a namespace: with a slash in it, it could mean one
/// of another namespace.
pub(crate) fn is_session(text: &str) -> bool {
    crate::run_options::is_name(text) && !text.contains('/')
}
