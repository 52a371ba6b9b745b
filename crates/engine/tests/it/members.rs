//! Coordinators at admission: their agents are looked up and pinned.

use std::collections::BTreeMap;
use std::path::PathBuf;

use errand_agent::parcel;
use errand_api::audit::Actor;
use errand_api::error_code::ErrorCode;
use errand_engine::CodedError as _;
use errand_engine::admit;
use errand_engine::agents::{self, Registration, Replace};
use errand_engine::run_options::RunOptions;
use errand_engine::submission::{self, CheckedSubmission, Draft, Submission};
use errand_engine::{Engine, Error};
use errand_model::RunId;
use errand_model::coordination::DEPTH_LIMIT;
use errand_model::event::{RunCreated, RunKind};
use errand_model::plan::{Membership, Pattern};

use crate::outbox::{SetClock, engine};
use crate::support::{agent, job};

struct Place {
    folder: tempfile::TempDir,
    engine: Engine,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = std::sync::Arc::new(SetClock(std::sync::atomic::AtomicI64::new(0)));
        let engine = engine(folder.path(), clock);
        Self { folder, engine }
    }

    fn agent(&self, name: &str, version: &str, spec: &str) -> PathBuf {
        let file = format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: {name}, version: {version} }}\n\
             spec:\n  {spec}\n"
        );
        agent(self.folder.path(), name, &file)
    }

    fn worker(&self, name: &str) -> PathBuf {
        self.agent(name, "1.0.0", "command: [/bin/true]")
    }

    async fn register(&self, namespace: Option<&str>, folder: &std::path::Path) {
        let plan = agents::check(folder, "agent.yaml").unwrap();
        let by = Actor { key: None, name: None, from: "test".to_owned() };
        let source = "pushed".to_owned();
        let registration = Registration { namespace, source, replace: Replace::No, by: &by };
        agents::register(&self.engine, plan, registration).await.unwrap();
    }

    fn submission(&self, folder: &std::path::Path) -> Submission {
        job(&self.engine, folder, RunOptions::default())
    }

    async fn created(&self, submission: Submission) -> Result<RunCreated, Error> {
        let submission = CheckedSubmission::for_any_worker(&self.engine, submission)?;
        let admission = admit::admission(&self.engine, submission).await?;
        Ok(admission.run.spec.as_ref().clone())
    }
}

#[tokio::test]
async fn agents_are_pinned_by_path_and_by_name() {
    let place = Place::new();
    place.worker("near");
    let far = place.worker("far");
    place.register(None, &far).await;
    place.register(None, &place.agent("far", "2.0.0", "command: [/bin/false]")).await;
    let team = place.agent(
        "team",
        "1.0.0",
        "coordinator: { type: chain, agents: [../near, far, { agent: far@1.0.0, name: old }] }",
    );
    let created = place.created(place.submission(&team)).await.unwrap();
    let plan = created.plan.unwrap();
    assert!(matches!(&plan.pattern, Pattern::Chain(chain) if chain.links.len() == 3));
    let pinned: BTreeMap<&str, (&str, &str)> = plan
        .agents
        .iter()
        .map(|(name, agent)| (name.as_str(), (agent.name.as_str(), agent.version.as_str())))
        .collect();
    let expected =
        [("far", ("far", "2.0.0")), ("near", ("near", "1.0.0")), ("old", ("far", "1.0.0"))];
    assert_eq!(pinned, BTreeMap::from(expected));
    for agent in plan.agents.values() {
        let parcel = parcel::open(&place.engine.registry().parcels(), &agent.digest).unwrap();
        assert_eq!(parcel.agent.version, agent.version);
    }
    let near = place.folder.path().join("near");
    assert_eq!(plan.agents["near"].path, near.display().to_string());
    assert_eq!(plan.agents["far"].path, "pushed");
}

#[tokio::test]
async fn handoff_targets_are_pinned_at_admission() {
    let place = Place::new();
    place.worker("other");
    let folder = place.agent("first", "1.0.0", "command: [/bin/true]\n  handoffs: [../other]");
    let created = place.created(place.submission(&folder)).await.unwrap();
    assert_eq!(created.plan, None);
    assert_eq!(created.handoffs["other"].name, "other");
}

#[tokio::test]
async fn an_agent_that_is_not_registered_is_named() {
    let place = Place::new();
    let far = place.worker("far");
    place.register(Some("theirs"), &far).await;
    let team = place.agent("team", "1.0.0", "coordinator: { type: chain, agents: [far] }");
    let error = place.created(place.submission(&team)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AgentNotFound);
    assert!(error.to_string().contains("far"), "{error}");
    // Names are looked up in the run's own namespace.
    let mut submission = place.submission(&team);
    submission.options.namespace = Some("theirs".to_owned());
    assert!(place.created(submission).await.unwrap().plan.is_some());
}

#[tokio::test]
async fn a_missing_parcel_is_reported_before_a_run_is_created() {
    let place = Place::new();
    let near = place.worker("near");
    let team = place.agent("team", "1.0.0", "coordinator: { type: fan_out, agents: [../near] }");
    let submission = place.submission(&team);
    let digest = parcel::plan(&near).unwrap().digest().clone();
    parcel::remove(&place.engine.registry().parcels(), &digest).unwrap();
    let error = place.created(submission).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ParcelNotFound);
    assert!(error.to_string().contains("../near"), "{error}");
}

#[tokio::test]
async fn nested_coordinators_have_a_depth_limit() {
    let place = Place::new();
    let near = place.worker("near");
    let team = place.agent("team", "1.0.0", "coordinator: { type: fan_out, agents: [../near] }");
    let at = |folder: &PathBuf, depth: u32| {
        let mut submission = place.submission(folder);
        submission.member = Some(Box::new(Membership {
            coordinator: "01m2c8w1q3k4v5x6y7z8".parse::<RunId>().unwrap(),
            key: "a#1".to_owned(),
            name: "a".to_owned(),
            depth,
            sends_to: Vec::new(),
            previous: None,
        }));
        submission
    };
    // The last level for a coordinator, the last level for any agent, and a level too deep.
    assert!(place.created(at(&team, DEPTH_LIMIT - 1)).await.is_ok());
    assert!(place.created(at(&near, DEPTH_LIMIT)).await.is_ok());
    for submission in [at(&team, DEPTH_LIMIT), at(&near, DEPTH_LIMIT + 1)] {
        let error = place.created(submission).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NestingTooDeep);
    }
}

#[tokio::test]
async fn a_run_is_checked_with_the_agents_that_are_named_by_path() {
    let place = Place::new();
    place.agent("near", "1.0.0", "command: [no-such-program]");
    place.agent("inner", "1.0.0", "coordinator: { type: fan_out, agents: [../near] }");
    let team = place.agent("team", "1.0.0", "coordinator: { type: fan_out, agents: [../inner] }");
    let submission = place.submission(&team);
    let env = BTreeMap::new();
    let files = submission.parcel.files_path();
    let mut draft = Draft {
        agent: &submission.parcel.agent,
        files: &files,
        kind: RunKind::Job,
        input: None,
        env: &env,
    };
    let error = submission::check(place.engine.surroundings(), &draft).unwrap_err();
    assert_eq!(error.code(), ErrorCode::CommandNotFound);
    // Another machine may have the parcel.
    submission::check_elsewhere(place.engine.surroundings(), &draft).unwrap();
    draft.kind = RunKind::Service;
    let error = submission::check_elsewhere(place.engine.surroundings(), &draft).unwrap_err();
    assert_eq!(error.code(), ErrorCode::AgentUnsupported);
}
