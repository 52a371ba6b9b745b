//! Connection to a container engine of this machine.

use std::path::{Path, PathBuf};

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use errand_agent::target::TargetStartError;
use errand_model::error_code::ErrorCode;

use crate::credentials::CredentialFiles;

/// Time limit for an answer of the engine, in seconds: a busy machine may need long to start a
/// container.
const ANSWER_LIMIT_SECONDS: u64 = 120;
/// Sockets of engines that serve the whole machine.
const MACHINE_SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
/// Sockets of engines of one user, below the user's folder for such files.
const USER_SOCKETS: [&str; 2] = ["docker.sock", "podman/podman.sock"];

/// Addresses at which an engine may be found, the first that is given first.
#[derive(Clone, Debug, Default)]
pub struct EngineAddress {
    /// Address that the caller named: `unix:///path`, or a path.
    pub named: Option<String>,
    /// Value of `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// Folder of the user's sockets, the value of `XDG_RUNTIME_DIR`.
    pub user_sockets: Option<PathBuf>,
}

impl EngineAddress {
    /// Returns the path of the engine's socket.
    ///
    /// # Errors
    ///
    /// `engine_unreachable`, if the address is that of another machine, or there is no socket.
    pub(crate) fn socket(&self) -> Result<PathBuf, TargetStartError> {
        if let Some(named) = self.named.as_deref().or(self.docker_host.as_deref()) {
            return match named.strip_prefix("unix://").unwrap_or(named) {
                path if path.starts_with('/') => Ok(path.into()),
                _ => Err(unreachable(format!(
                    "the container engine {named:?} cannot be used: write unix:///path, the socket \
                     of an engine of this machine"
                ))),
            };
        }
        let of_user = self.user_sockets.iter();
        let of_user = of_user.flat_map(|folder| USER_SOCKETS.map(|socket| folder.join(socket)));
        let candidates: Vec<PathBuf> = of_user.chain(MACHINE_SOCKETS.map(PathBuf::from)).collect();
        candidates.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
            let paths: Vec<String> =
                candidates.iter().map(|path| path.display().to_string()).collect();
            unreachable(format!(
                "no container engine was found: there is no socket {}",
                paths.join(" or ")
            ))
        })
    }
}

/// Engine that answered.
#[derive(Clone, Debug)]
pub(crate) struct ContainerEngine {
    pub(crate) docker: Docker,
    /// Address, for locators and messages.
    pub(crate) address: String,
    /// Files with credentials of registries.
    pub(crate) credentials: CredentialFiles,
}

impl ContainerEngine {
    /// Connects to the engine at a socket.
    ///
    /// # Errors
    ///
    /// `engine_unreachable`.
    pub(crate) async fn connect(
        socket: &Path,
        credentials: &CredentialFiles,
    ) -> Result<Self, TargetStartError> {
        let address = format!("unix://{}", socket.display());
        let refuse = |error: Error| {
            unreachable(format!(
                "the container engine at {address} does not answer: {}",
                text(&error)
            ))
        };
        let docker = Docker::connect_with_unix(&address, ANSWER_LIMIT_SECONDS, API_DEFAULT_VERSION);
        let docker = docker.map_err(&refuse)?;
        // Requests name no version of the API, so there is none to agree on: Podman takes a quarter of
        // a second to tell its versions.
        docker.ping().await.map_err(&refuse)?;
        Ok(Self { docker, address, credentials: credentials.clone() })
    }

    /// Returns the refusal that an answer of the engine means; an engine that does not answer is
    /// unreachable.
    pub(crate) fn refusal(&self, doing: &str, error: &Error) -> TargetStartError {
        let reason = text(error);
        let message = format!("the container engine at {} cannot {doing}: {reason}", self.address);
        let code = match status(error) {
            Some(_) => ErrorCode::ContainerRefused,
            None => ErrorCode::EngineUnreachable,
        };
        TargetStartError::Refused { code, message }
    }
}

/// Connects to the engine at an address.
///
/// # Errors
///
/// `engine_unreachable`.
pub async fn reach(address: &EngineAddress) -> Result<(), TargetStartError> {
    ContainerEngine::connect(&address.socket()?, &CredentialFiles::default()).await.map(drop)
}

fn unreachable(message: String) -> TargetStartError {
    TargetStartError::Refused { code: ErrorCode::EngineUnreachable, message }
}

/// Returns the HTTP status of an answer that is a refusal.
pub(crate) const fn status(error: &Error) -> Option<u16> {
    if let Error::DockerResponseServerError { status_code, .. } = error {
        return Some(*status_code);
    }
    None
}

/// Returns the engine's reason, without the words of the client around it.
pub(crate) fn text(error: &Error) -> String {
    if let Error::DockerResponseServerError { message: reason, .. }
    | Error::DockerStreamError { error: reason } = error
    {
        return reason.trim().to_owned();
    }
    // The causes above the last one name parts of the client.
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
