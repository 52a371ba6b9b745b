//! The target `container`: containers of this machine as a [`Target`].

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{
    KillContainerOptions, ListContainersOptions, WaitContainerOptions,
};
use errand_agent::target::{
    AgentOutput, LaunchSpec, Live, OrphanedAgent, StartWaits, Target, TargetStartError,
};
use errand_api::agent_file::TargetKind;
use errand_model::event::PinnedImage;
use errand_model::{Locator, ProcessIdentity, RunId};
use futures_util::StreamExt as _;
use tokio::sync::OnceCell;

use crate::adopt;
use crate::claim::AttemptClaims;
use crate::create::{ATTEMPT_LABEL, NAME, REGISTRY_LABEL, RUN_LABEL};
use crate::credentials::CredentialFiles;
use crate::engine::{ContainerEngine, EngineAddress, text};
use crate::image;
use crate::kept::KeptFolder;
use crate::live;
use crate::shim::ContainerPrograms;
use crate::start::ContainerStart;

/// Time for which the caller of a run waits for its image.
const CHECK_LIMIT: Duration = Duration::from_secs(30);

/// Settings of the target `container`.
#[derive(Clone, Debug)]
pub struct ContainerSettings {
    /// Addresses of the engine.
    pub engine: EngineAddress,
    /// Folder for errand's own files of containers, which the first container makes.
    pub folder: PathBuf,
    /// Path of the registry, by which its containers are told from those of others.
    pub registry: PathBuf,
    /// Path of this program, for `errand agent` in containers.
    pub program: PathBuf,
    /// Files with credentials of registries, for pulls.
    pub credentials: CredentialFiles,
}

/// The target `container`. Does nothing before an agent needs it.
#[derive(Debug)]
pub struct ContainerTarget {
    settings: ContainerSettings,
    engine: OnceCell<ContainerEngine>,
    programs: OnceCell<ContainerPrograms>,
    claims: AttemptClaims,
}

impl ContainerTarget {
    /// Returns the target. Nothing is connected or written yet.
    pub fn new(settings: ContainerSettings) -> Self {
        Self {
            settings,
            engine: OnceCell::new(),
            programs: OnceCell::new(),
            claims: AttemptClaims::default(),
        }
    }

    async fn engine(&self) -> Result<&ContainerEngine, TargetStartError> {
        let ContainerSettings { engine, credentials, .. } = &self.settings;
        let connect = || async { ContainerEngine::connect(&engine.socket()?, credentials).await };
        self.engine.get_or_try_init(connect).await
    }

    async fn programs(&self) -> io::Result<&ContainerPrograms> {
        let prepare = || async {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.settings.folder)?;
            ContainerPrograms::prepare(&self.settings.folder, &self.settings.program)
        };
        self.programs.get_or_try_init(prepare).await
    }

    /// Returns the engine that has the containers of a run: the one of a locator, or else the one that
    /// this process uses. `None`: no container of the registry was ever started, and no engine is
    /// needed.
    async fn engine_of(&self, known: &[Locator]) -> io::Result<Option<ContainerEngine>> {
        if !self.settings.folder.exists() {
            return Ok(None);
        }
        self.engine_at(known).await.map(Some).map_err(io::Error::other)
    }

    /// Returns the engine of a locator, or else the one that this process uses.
    async fn engine_at(&self, known: &[Locator]) -> Result<ContainerEngine, TargetStartError> {
        let address = known.iter().find_map(|locator| locator.fields.get("engine")?.as_str());
        self.engine_of_address(address).await
    }

    /// Returns the engine at an address, or else the one that this process uses.
    async fn engine_of_address(
        &self,
        address: Option<&str>,
    ) -> Result<ContainerEngine, TargetStartError> {
        match address.and_then(|address| address.strip_prefix("unix://")) {
            Some(socket) => {
                ContainerEngine::connect(Path::new(socket), &self.settings.credentials).await
            }
            None => self.engine().await.cloned(),
        }
    }

    fn kept_folder(&self, run_id: &RunId, attempt: u32) -> KeptFolder {
        KeptFolder::of(&self.settings.folder, run_id, attempt)
    }

    /// Returns the containers of a run in this registry, stopped ones included.
    async fn of_run(
        &self,
        engine: &ContainerEngine,
        run_id: &RunId,
        label: Option<String>,
    ) -> io::Result<Vec<ContainerSummary>> {
        let of_run = format!("{RUN_LABEL}={run_id}");
        let of_registry = format!("{REGISTRY_LABEL}={}", self.settings.registry.display());
        let labels: Vec<String> = [of_run, of_registry].into_iter().chain(label).collect();
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), labels)])),
            ..ListContainersOptions::default()
        };
        let found = engine.docker.list_containers(Some(options)).await;
        found.map_err(|error| {
            io::Error::other(format!(
                "the containers of the run cannot be listed: {}",
                text(&error)
            ))
        })
    }
}

/// Ends one container and removes it. Returns true if it ran.
async fn end_one(
    engine: &ContainerEngine,
    found: &ContainerSummary,
    grace: Duration,
) -> io::Result<bool> {
    let Some(id) = found.id.as_deref() else { return Ok(false) };
    let state = found.state;
    let is_paused = state == Some(ContainerSummaryStateEnum::PAUSED);
    let runs = is_paused || state == Some(ContainerSummaryStateEnum::RUNNING);
    let signal = |name: &str| Some(KillContainerOptions { signal: name.to_owned() });
    // Errors mean that the container has ended meanwhile; its removal finds any other.
    if is_paused {
        drop(engine.docker.unpause_container(id).await);
    }
    if runs && !grace.is_zero() {
        drop(engine.docker.kill_container(id, signal("SIGTERM")).await);
        let mut ended = engine.docker.wait_container(id, None::<WaitContainerOptions>);
        drop(tokio::time::timeout(grace, ended.next()).await);
    }
    if runs {
        drop(engine.docker.kill_container(id, signal("SIGKILL")).await);
    }
    live::remove(engine, id).await?;
    Ok(runs)
}

#[async_trait]
impl Target for ContainerTarget {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sees_this_machine(&self) -> bool {
        false
    }

    async fn check(&self, place: &TargetKind) -> Result<(), TargetStartError> {
        let TargetKind::Container(place) = place else { return Ok(()) };
        let engine = self.engine().await?;
        match tokio::time::timeout(CHECK_LIMIT, image::find(engine, place, &StartWaits::default()))
            .await
        {
            Ok(found) => found.map(drop),
            // The attempt waits for the rest of a long pull.
            Err(_) => Ok(()),
        }
    }

    async fn resolve_image(
        &self,
        place: &TargetKind,
        waits: &StartWaits,
    ) -> Result<Option<PinnedImage>, TargetStartError> {
        let TargetKind::Container(place) = place else { return Ok(None) };
        let image::FoundImage { id, pinned, .. } =
            image::find(self.engine().await?, place, waits).await?;
        Ok(Some(PinnedImage { reference: place.image.clone(), digest: pinned, id }))
    }

    async fn start(
        &self,
        spec: &LaunchSpec,
        output: AgentOutput,
    ) -> Result<Box<dyn Live>, TargetStartError> {
        let claim = self.claims.claim(&spec.run_id, spec.attempt)?;
        let engine = self.engine().await?;
        let programs = self.programs().await?;
        let registry = self.settings.registry.display().to_string();
        let kept = &self.kept_folder(&spec.run_id, spec.attempt);
        let start = ContainerStart { engine, programs, registry: &registry, kept, spec };
        Ok(Box::new(start.run(output, claim).await?))
    }

    fn outlives_supervisor(&self) -> bool {
        true
    }

    fn can_adopt(&self, agent: &OrphanedAgent) -> bool {
        let kept = self.kept_folder(&agent.run_id, agent.attempt);
        adopt::start_folder(agent).is_some_and(|start| kept.has(start))
    }

    async fn adopt(
        &self,
        agent: &OrphanedAgent,
        output: AgentOutput,
    ) -> Result<Box<dyn Live>, TargetStartError> {
        let claim = self.claims.claim(&agent.run_id, agent.attempt)?;
        let engine = self.engine_at(std::slice::from_ref(&agent.locator)).await?;
        let kept = self.kept_folder(&agent.run_id, agent.attempt);
        Ok(Box::new(adopt::adopt((&engine, kept), agent, output, claim).await?))
    }

    fn kept(&self) -> Vec<(RunId, u32)> {
        KeptFolder::list(&self.settings.folder)
    }

    async fn forget(&self, run_id: &RunId, attempt: u32) -> io::Result<()> {
        let kept = self.kept_folder(run_id, attempt);
        let engine = self.engine_of_address(kept.engine().as_deref()).await;
        let engine = engine.map_err(io::Error::other)?;
        let label = format!("{ATTEMPT_LABEL}={attempt}");
        for container in self.of_run(&engine, run_id, Some(label)).await? {
            end_one(&engine, &container, Duration::ZERO).await?;
        }
        kept.remove()
    }

    async fn end(&self, run_id: &RunId, known: &[Locator], grace: Duration) -> io::Result<usize> {
        let Some(engine) = self.engine_of(known).await? else { return Ok(0) };
        let mut ended = 0;
        for container in self.of_run(&engine, run_id, None).await? {
            ended += usize::from(end_one(&engine, &container, grace).await?);
        }
        for (of_run, attempt) in self.kept() {
            if of_run == *run_id {
                // The agent has ended: what stays is removed by the next look at what is left.
                drop(self.kept_folder(run_id, attempt).remove());
            }
        }
        Ok(ended)
    }

    async fn is_frozen(&self, run_id: &RunId, _: &ProcessIdentity) -> io::Result<bool> {
        let Some(engine) = self.engine_of(&[]).await? else { return Ok(true) };
        let found = self.of_run(&engine, run_id, None).await?;
        Ok(found.iter().all(|found| found.state != Some(ContainerSummaryStateEnum::RUNNING)))
    }
}
