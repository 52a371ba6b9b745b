//! Targets on an engine of the tests.

use std::sync::Arc;

use errand_agent::target::{LaunchSpec, Target};
use errand_api::agent_file::{ContainerNetwork, ContainerPlace, TargetKind};
use errand_container::{ContainerSettings, ContainerTarget, CredentialFiles, EngineAddress};
use errand_testkit::conformance::{Program, TestAttempt};
use errand_testkit::podman::{IMAGE, Podman};
use tempfile::TempDir;

/// Target on an engine of the tests, with a registry folder of its own.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) podman: Podman,
    folder: TempDir,
    pub(crate) target: Arc<dyn Target>,
}

impl World {
    /// Returns a target; `None` on a machine without an engine.
    pub(crate) fn new() -> Option<Self> {
        let podman = Podman::shared()?;
        let folder = tempfile::tempdir().unwrap();
        let target = target(&folder, podman.address(), CredentialFiles::default());
        Some(Self { podman, folder, target })
    }

    /// Returns the target of another process of the same registry, which uses another engine.
    pub(crate) fn with_engine(&self, address: &str) -> Arc<dyn Target> {
        target(&self.folder, address.to_owned(), CredentialFiles::default())
    }
}

/// Returns the target of a registry in `folder`.
pub(crate) fn target(
    folder: &TempDir,
    engine: String,
    credentials: CredentialFiles,
) -> Arc<dyn Target> {
    let settings = ContainerSettings {
        engine: EngineAddress { named: Some(engine), ..EngineAddress::default() },
        folder: folder.path().join("containers"),
        registry: folder.path().to_owned(),
        program: std::env::current_exe().unwrap(),
        credentials,
    };
    Arc::new(ContainerTarget::new(settings))
}

/// Returns the place that the tests' image makes.
pub(crate) fn place() -> ContainerPlace {
    let network = ContainerNetwork::None;
    ContainerPlace { image: IMAGE.to_owned(), network, ..ContainerPlace::default() }
}

/// Returns the order to start a program in a container.
pub(crate) fn spec(attempt: &TestAttempt, program: Program) -> LaunchSpec {
    LaunchSpec { place: TargetKind::Container(place()), ..attempt.spec(program) }
}
