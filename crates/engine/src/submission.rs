//! Submission of a run: its types, and the checks that come before anything is created.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use errand_agent::parcel::{self, Parcel};
use errand_agent::secret::{self, FoundSecret};
use errand_api::agent_file::Agent;
use errand_model::RunId;
use errand_model::catalog::CatalogPin;
use errand_model::event::{AgentRef, PolicyDecided, Replay, RunKind, ServiceSpec, Trigger};
use errand_model::inherit::InheritedWork;
use errand_model::plan::Membership;

use crate::command_line::ProgramProblem;
use crate::error::{AgentUnsupported, MemberError, SecretExposed, operation_error};
use crate::run_options::RunOptions;
use crate::schema::SchemaProblem;
use crate::{Engine, EngineContext, agent_check, command_line, environment, prices, schema};

operation_error! {
    /// Error: a request to run is refused.
    pub enum Error {
        /// The agent cannot be run by this version.
        Unsupported(AgentUnsupported),
        /// The price table is malformed or cannot be read.
        PriceTable(prices::Error),
        /// The agent's program does not exist or cannot be executed.
        Program(ProgramProblem),
        /// A secret is missing, or the secret store cannot be read.
        Secret(secret::Error),
        /// A secret's value was given in a place that is recorded.
        SecretExposed(SecretExposed),
        /// A schema is malformed, or the input does not match it.
        Schema(SchemaProblem),
        /// An error of an agent that another one names.
        Member(MemberError),
    }
}

/// Request for a run, with its agent packed; [`CheckedSubmission`] is what can be admitted.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Agent that is to run.
    pub parcel: Arc<Parcel>,
    /// Place that the parcel was built from, for people.
    pub source: String,
    /// Kind of the run.
    pub kind: RunKind,
    /// Cause of the run.
    pub trigger: Trigger,
    /// Input of the agent, byte for byte.
    pub input: Option<Vec<u8>>,
    /// Options of the caller.
    pub options: RunOptions,
    /// Wake-ups of a service; `None` for other kinds.
    pub service: Option<ServiceSpec>,
    /// Run that starts this one.
    pub parent: Option<RunId>,
    /// Run that this one repeats.
    pub origin: Option<RunId>,
    /// Parts that it inherits from that run, and the way in which it repeats it.
    pub lineage: Lineage,
    /// Set for a run that is a step of a coordinator.
    pub member: Option<Box<Membership>>,
    /// Versions of the agent's tier and services, once it is equipped with them.
    pub dependencies: Option<Vec<CatalogPin>>,
}

impl Submission {
    /// Returns the submission of a run without input, which is no service, belongs to no other run
    /// and repeats none.
    pub fn new(
        parcel: impl Into<Arc<Parcel>>,
        source: String,
        kind: RunKind,
        trigger: Trigger,
        options: RunOptions,
    ) -> Self {
        Self {
            parcel: parcel.into(),
            source,
            kind,
            trigger,
            input: None,
            options,
            service: None,
            parent: None,
            origin: None,
            lineage: Lineage::default(),
            member: None,
            dependencies: None,
        }
    }
}

/// Parts of a repeated run that the new run inherits.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// Completed steps and the checkpoint that the run starts with, and the workspace in its
    /// present state.
    pub heritage: Option<InheritedWork>,
    /// Set for a replay.
    pub replay: Option<Replay>,
    /// Verdict of a policy about the repetition.
    pub decided: Option<PolicyDecided>,
    /// Set if the repeated run has to be a dead letter that was neither redriven nor discarded.
    pub redrives: bool,
    /// Agent of the repeated run.
    pub agent: Option<AgentRef>,
}

/// Request for a run before its agent is packed.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// Agent.
    pub agent: &'a Agent,
    /// Folder of the agent.
    pub files: &'a Path,
    /// Kind of the run.
    pub kind: RunKind,
    /// Input of the agent.
    pub input: Option<&'a [u8]>,
    /// Environment variables of the caller.
    pub env: &'a BTreeMap<String, String>,
}

/// Checks everything that can be checked before anything is created.
///
/// # Errors
///
/// The first problem that is found.
pub fn check(around: &EngineContext, draft: &Draft<'_>) -> Result<DraftCheck, Error> {
    check_supported(around, draft.agent)?;
    prices::check(&around.registry)?;
    check_kind(draft)?;
    let target = around.targets.get(draft.agent.target_name());
    let is_here = target.is_some_and(|target| target.sees_this_machine());
    if draft.agent.coordinator.is_none() && is_here {
        let search_path = environment::search_path(around, None);
        command_line::resolve(&draft.agent.command, draft.files, &search_path)?;
    }
    refuse_exposed(&environment::secrets(around, draft.agent)?, draft.input, draft.env)?;
    check_named(around, draft)?;
    if draft.kind == RunKind::Job {
        schema::check_input(draft.agent, draft.input)?;
    }
    Ok(DraftCheck(()))
}

/// Refuses values of secrets in places that are recorded.
pub(crate) fn refuse_exposed(
    secrets: &[FoundSecret],
    input: Option<&[u8]>,
    env: &BTreeMap<String, String>,
) -> Result<(), SecretExposed> {
    for secret in secrets {
        let exposed = |place| Err(SecretExposed { place, name: secret.name.clone() });
        let is_in = |bytes: &[u8]| memchr::memmem::find(bytes, secret.value.expose()).is_some();
        if input.is_some_and(is_in) {
            return exposed("input");
        }
        if env.values().any(|value| is_in(value.as_bytes())) {
            return exposed("environment");
        }
    }
    Ok(())
}

/// Checks the agents that one names by path, as far as their parcels are here already. Their input
/// is not known yet.
fn check_named(around: &EngineContext, draft: &Draft<'_>) -> Result<(), Error> {
    for named in draft.agent.named_agents() {
        let Some(digest) = &named.digest else { continue };
        let Ok(parcel) = parcel::open(&around.registry.parcels(), digest) else { continue };
        let files = parcel.files_path();
        let draft =
            Draft { agent: &parcel.agent, files: &files, kind: RunKind::Heartbeat, ..*draft };
        check(around, &draft).map_err(|error| MemberError::new(&named.agent, error))?;
    }
    Ok(())
}

/// Checks a run that a worker of another machine may carry out: programs and secrets of that
/// machine are not known here.
///
/// # Errors
///
/// The first problem that is found.
pub fn check_elsewhere(around: &EngineContext, draft: &Draft<'_>) -> Result<DraftCheck, Error> {
    check_supported(around, draft.agent)?;
    check_kind(draft)?;
    match draft.kind {
        RunKind::Job => schema::check_input(draft.agent, draft.input)?,
        RunKind::Heartbeat | RunKind::Service => {}
    }
    Ok(DraftCheck(()))
}

/// A service is one agent that wakes: each of its wakes would have to be a coordinator.
fn check_kind(draft: &Draft<'_>) -> Result<(), Error> {
    if draft.kind == RunKind::Service && draft.agent.coordinator.is_some() {
        return Err(AgentUnsupported { what: "a coordinator as a service".to_owned() }.into());
    }
    Ok(())
}

/// Refuses an agent that asks for a harness or a target that this program does not have, or for a
/// field that it cannot honour.
fn check_supported(around: &EngineContext, agent: &Agent) -> Result<(), Error> {
    let mut unsupported = agent.unsupported();
    if agent.coordinator.is_none() {
        unsupported.extend(around.lacks(agent));
    }
    Ok(agent_check::refuse(&unsupported)?)
}

/// Proof that a [`Draft`] was checked: only the checks make one.
#[derive(Clone, Copy, Debug)]
pub struct DraftCheck(());

/// Submission that was checked: all that can be admitted.
#[derive(Clone, Debug)]
pub struct CheckedSubmission(Submission);

impl CheckedSubmission {
    /// Checks a submission whose run this machine carries out.
    ///
    /// # Errors
    ///
    /// As [`check`].
    pub fn for_here(engine: &Engine, submission: Submission) -> Result<Self, Error> {
        let (around, files) = (engine.surroundings(), submission.parcel.files_path());
        let mut agent = submission.parcel.agent.clone();
        environment::spare_gateway_secrets(around, &mut agent, submission.lineage.replay.as_ref());
        let checked = check(around, &Draft { agent: &agent, ..submission.draft(&files) })?;
        Ok(Self::of_draft(submission, checked))
    }

    /// Checks a submission whose run any worker may carry out.
    ///
    /// # Errors
    ///
    /// As [`check_elsewhere`].
    pub fn for_any_worker(engine: &Engine, submission: Submission) -> Result<Self, Error> {
        let files = submission.parcel.files_path();
        let checked = check_elsewhere(engine.surroundings(), &submission.draft(&files))?;
        Ok(Self::of_draft(submission, checked))
    }

    /// The submission of a draft that was checked.
    pub const fn of_draft(submission: Submission, _checked: DraftCheck) -> Self {
        Self(submission)
    }

    /// The submission of a wake: its agent was checked when the service was admitted.
    pub(crate) const fn of_wake(submission: Submission) -> Self {
        Self(submission)
    }

    /// Returns the submission with an agent that is equipped with these tier and services.
    pub(crate) fn equipped_with(self, parcel: Arc<Parcel>, pins: Vec<CatalogPin>) -> Self {
        Self(Submission { parcel, dependencies: Some(pins), ..self.0 })
    }

    /// The submission.
    pub const fn submission(&self) -> &Submission {
        &self.0
    }

    /// Returns the submission, to be changed and checked again, or admitted.
    pub fn into_submission(self) -> Submission {
        self.0
    }
}

impl Submission {
    /// Returns the part that checks need. `files` is the folder of the agent's parcel.
    fn draft<'a>(&'a self, files: &'a Path) -> Draft<'a> {
        Draft {
            agent: &self.parcel.agent,
            files,
            kind: self.kind,
            input: self.input.as_deref(),
            env: &self.options.env,
        }
    }
}
