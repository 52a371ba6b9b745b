//! The sandbox of an agent: everything that the kernel is told about its process before its program
//! is executed.

mod access;
mod filter;
mod paths;
mod relay;
mod view;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use errand_api::agent_file::{SandboxFilesystem, SandboxNetwork, SandboxRules, TargetKind};
use errand_model::error_code::ErrorCode;
use rustix::io::Errno;

pub(super) use relay::Relay;
use relay::RelaySocket;

use self::paths::SeenPaths;
use crate::model_door::{RELAY_PORT, SOCKET_VARIABLE};
use crate::os::{
    Confinement, ConfinementPart, FileRights, OwnNetwork, RefusedPart, UserMap, ViewStep,
};
use crate::target::{LaunchSpec, TargetStartError};

/// Sandbox that is ready for the start of one agent.
#[derive(Debug)]
pub(super) struct PreparedSandbox {
    pub(super) confinement: Confinement,
    /// Way from the agent's loopback address to its door.
    relay: Option<RelaySocket>,
}

/// Returns the sandbox that a place asks for.
pub(super) fn wanted(place: &TargetKind) -> Option<&SandboxRules> {
    match place {
        TargetKind::Process(place) => place.sandbox.as_ref(),
        TargetKind::Container(_) | TargetKind::Kubernetes(_) => None,
    }
}

/// Prepares the sandbox of an attempt; `None` if its agent has none.
///
/// # Errors
///
/// [`TargetStartError::Refused`] if this machine cannot restrict an agent like that.
pub(super) fn prepare(spec: &LaunchSpec) -> Result<Option<PreparedSandbox>, TargetStartError> {
    let Some(sandbox) = wanted(&spec.place) else { return Ok(None) };
    let mut confinement = restrictions(sandbox)?;
    if sandbox.filesystem != SandboxFilesystem::Host {
        let folders = PrivateFolders::make(&spec.folder)?;
        let seen = SeenPaths::of(sandbox, spec, &folders)?;
        confinement.view = Some(view::built(&folders.view, &seen)?);
        confinement.rights =
            Some(FileRights { ruleset: access::ruleset()?, rules: access::rules(&seen)? });
    }
    let door = variable(spec, SOCKET_VARIABLE).map(PathBuf::from);
    let relay = match door.filter(|_| confinement.network.is_some()) {
        Some(door) => {
            let (relay, to) = RelaySocket::new(door)?;
            confinement.network = Some(OwnNetwork { relay: Some((RELAY_PORT, to)) });
            Some(relay)
        }
        None => None,
    };
    Ok(Some(PreparedSandbox { confinement, relay }))
}

/// Checks that this machine can restrict an agent like that, by doing so with a process that does
/// nothing else.
///
/// # Errors
///
/// [`TargetStartError::Refused`].
pub(super) fn check(sandbox: &SandboxRules) -> Result<(), TargetStartError> {
    let mut confinement = restrictions(sandbox)?;
    if sandbox.filesystem != SandboxFilesystem::Host {
        for path in sandbox.read.iter().chain(&sandbox.write) {
            paths::listed(path, std::env::var_os("HOME").as_deref())?;
        }
        let ruleset = access::ruleset()?;
        confinement.rights = Some(FileRights { ruleset, rules: Vec::new() });
        confinement.view = Some(view::of_everything());
    }
    crate::os::try_confinement(&confinement)
        .map_err(|(part, source)| refused(&confinement, part, &source))
}

/// Returns the restrictions that need nothing of the attempt.
fn restrictions(sandbox: &SandboxRules) -> Result<Confinement, TargetStartError> {
    let has_own_network = match sandbox.network {
        SandboxNetwork::Host => false,
        SandboxNetwork::Gateway | SandboxNetwork::None => true,
    };
    let needs_namespaces = has_own_network || sandbox.filesystem != SandboxFilesystem::Host;
    Ok(Confinement {
        user: needs_namespaces.then(user),
        view: None,
        network: has_own_network.then_some(OwnNetwork { relay: None }),
        rights: None,
        filters: filter::programs()?,
    })
}

/// Returns the map of a user namespace in which the user stays who it is.
fn user() -> UserMap {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    UserMap { uid: format!("{uid} {uid} 1\n"), gid: format!("{gid} {gid} 1\n") }
}

impl PreparedSandbox {
    /// Returns the relay, once the process has been started.
    pub(super) fn started(self) -> io::Result<Option<Relay>> {
        self.relay.map(RelaySocket::received).transpose()
    }

    /// Converts a refusal of the kernel.
    pub(super) fn refused(
        &self,
        part: Option<RefusedPart>,
        source: &io::Error,
    ) -> TargetStartError {
        refused(&self.confinement, part, source)
    }
}

/// Returns the folder of [`PrivateFolders`] in the folder of an attempt.
pub(super) fn private_folder(folder: &Path) -> PathBuf {
    folder.join("sandbox")
}

/// Folders that only the agent of one attempt sees.
#[derive(Debug)]
pub(super) struct PrivateFolders {
    /// Folder with all of the others.
    pub(super) all: PathBuf,
    /// Folder on which the agent's root is mounted.
    pub(super) view: PathBuf,
    /// The agent's `/tmp`.
    pub(super) temporary: PathBuf,
    /// The agent's `/dev/shm`.
    pub(super) memory: PathBuf,
    /// The agent's home.
    pub(super) home: PathBuf,
}

impl PrivateFolders {
    fn make(folder: &Path) -> io::Result<Self> {
        let all = private_folder(folder);
        let make = |name: &str| {
            let path = all.join(name);
            DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
            fs::canonicalize(&path)
        };
        Ok(Self {
            view: make("root")?,
            temporary: make("tmp")?,
            memory: make("shm")?,
            home: make("home")?,
            all: fs::canonicalize(&all)?,
        })
    }
}

/// Returns the value that an agent has for a variable.
fn variable<'a>(spec: &'a LaunchSpec, name: &str) -> Option<&'a OsStr> {
    let found = spec.env.iter().rev().find(|(own, _)| own == name);
    found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
}

/// Returns the error for a part of a sandbox that this machine does not have.
fn unavailable(message: String) -> TargetStartError {
    TargetStartError::Refused { code: ErrorCode::SandboxUnavailable, message }
}

/// Returns the error for a part that the kernel refused; `None`: the namespaces.
fn refused(
    confinement: &Confinement,
    refused: Option<RefusedPart>,
    source: &io::Error,
) -> TargetStartError {
    let Some(RefusedPart { part, step }) = refused else {
        return unavailable(format!("the kernel refuses a user namespace for the agent: {source}"));
    };
    let steps = confinement.view.as_ref().map(|view| view.steps.as_slice()).unwrap_or_default();
    let rules = confinement.rights.as_ref().map(|rights| rights.rules.as_slice());
    let what = match part {
        ConfinementPart::User => "the user of the agent's namespace".to_owned(),
        ConfinementPart::Loopback => "the loopback address of the agent's network".to_owned(),
        ConfinementPart::Relay => "the relay in the agent's network".to_owned(),
        ConfinementPart::Propagation => "mounts of the agent's own".to_owned(),
        ConfinementPart::View => match steps.get(step) {
            Some(step) => format!("the mount of {}", shown(step, confinement)),
            None => "the mounts of the agent".to_owned(),
        },
        ConfinementPart::Root => "the root folder of the agent".to_owned(),
        ConfinementPart::NoNewPrivileges => "a process without new privileges".to_owned(),
        ConfinementPart::Rights => match rules.unwrap_or_default().get(step) {
            Some((path, _)) => format!("a Landlock rule about {}", path.to_string_lossy()),
            None => "Landlock".to_owned(),
        },
        ConfinementPart::Capabilities => "a process without capabilities".to_owned(),
        ConfinementPart::Filter => "seccomp".to_owned(),
    };
    let hint = match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::ACCESS) => {
            "; in a container, or where AppArmor restricts user namespaces, they have to be allowed"
        }
        Some(_) | None => "",
    };
    unavailable(format!("the kernel refuses {what}: {source}{hint}"))
}

/// Returns the path of a step as the agent would have seen it.
fn shown(step: &ViewStep, confinement: &Confinement) -> String {
    let target = step.target().to_string_lossy().into_owned();
    let root = confinement.view.as_ref().map(|view| view.root.to_string_lossy().into_owned());
    let below = root.and_then(|root| target.strip_prefix(&root).map(str::to_owned));
    below.filter(|below| !below.is_empty()).unwrap_or(target)
}
