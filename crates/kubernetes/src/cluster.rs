//! Connection to a cluster, and its refusals as errors of errand.

use std::path::PathBuf;
use std::time::Duration;

use errand_agent::target::TargetStartError;
use errand_model::error_code::ErrorCode;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Time limit for a connection to the API server.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Time limit for an answer, which a watch exceeds only with its own limit.
const READ_LIMIT: Duration = Duration::from_secs(300);
/// Namespace if neither the agent file nor the configuration names one.
const DEFAULT_NAMESPACE: &str = "default";

/// Place of the cluster, as the process is configured.
#[derive(Clone, Debug, Default)]
pub struct ClusterAddress {
    /// Files of the configuration, merged in this order. Without any that exists, the account of errand's
    /// own Pod is used.
    pub kubeconfig: Vec<PathBuf>,
    /// Context in these files; `None`: the current one.
    pub context: Option<String>,
}

/// Cluster that errand uses.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// Namespace of the configuration.
    pub(crate) namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Reads the configuration. Nothing is sent to the cluster yet.
    ///
    /// # Errors
    ///
    /// `cluster_unreachable`: there is no usable configuration; `cluster_unauthorized`: the login that it
    /// names gives no credentials.
    pub(crate) async fn open(address: &ClusterAddress) -> Result<Self, TargetStartError> {
        let mut config = match kubeconfig(&address.kubeconfig)? {
            Some(read) => {
                let options =
                    KubeConfigOptions { context: address.context.clone(), ..Default::default() };
                let config = Config::from_custom_kubeconfig(read, &options).await;
                config.map_err(|error| unusable(&error.to_string()))?
            }
            None if address.context.is_none() => Config::incluster_env().map_err(|_| {
                unusable("there is no kubeconfig, and errand does not run in a Pod itself")
            })?,
            None => return Err(unusable("there is no kubeconfig with contexts")),
        };
        config.connect_timeout = Some(CONNECT_LIMIT);
        config.read_timeout = Some(READ_LIMIT);
        let namespace = Some(config.default_namespace.clone()).filter(|name| !name.is_empty());
        let client = Client::try_from(config).map_err(|error| {
            let is_login = matches!(error, kube::Error::Auth(_));
            if is_login { refusal("let errand in", "", &error) } else { unusable(&text(&error)) }
        })?;
        Ok(Self { client, namespace: namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()) })
    }
}

/// Reads the files of a configuration; `None` if none of them exists.
fn kubeconfig(files: &[PathBuf]) -> Result<Option<Kubeconfig>, TargetStartError> {
    let mut merged: Option<Kubeconfig> = None;
    for file in files.iter().filter(|file| file.exists()) {
        let of_file = |error: KubeconfigError| unusable(&format!("{}: {error}", file.display()));
        let read = Kubeconfig::read_from(file).map_err(of_file)?;
        merged = Some(match merged {
            Some(before) => before.merge(read).map_err(of_file)?,
            None => read,
        });
    }
    Ok(merged)
}

fn unusable(reason: &str) -> TargetStartError {
    let message = format!("no Kubernetes cluster can be used: {reason}");
    TargetStartError::Refused { code: ErrorCode::ClusterUnreachable, message }
}

/// Returns the status of an answer; `None` if there was no answer.
pub(crate) fn status(error: &kube::Error) -> Option<u16> {
    if let kube::Error::Api(status) = error { Some(status.code) } else { None }
}

/// Returns the text of an error.
pub(crate) fn text(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text = if text.is_empty() { next } else { format!("{text}: {next}") };
        }
        source = error.source();
    }
    text
}

/// Returns the refusal of an action by the cluster.
pub(crate) fn refusal(action: &str, namespace: &str, error: &kube::Error) -> TargetStartError {
    let code = code_of(error);
    let text = text(error);
    let message = if code == ErrorCode::ClusterUnreachable {
        format!("the Kubernetes cluster did not {action}: it does not answer: {text}")
    } else if code == ErrorCode::ClusterUnauthorized {
        format!(
            "the Kubernetes cluster did not {action}: it does not accept the credentials of the \
             kubeconfig: {text}"
        )
    } else if code == ErrorCode::ClusterForbidden {
        format!("errand may not {action} in the namespace {namespace}: {text}")
    } else {
        format!("the Kubernetes cluster did not {action}: {text}")
    };
    TargetStartError::Refused { code, message }
}

fn code_of(error: &kube::Error) -> ErrorCode {
    if matches!(error, kube::Error::Auth(_)) {
        return ErrorCode::ClusterUnauthorized;
    }
    let kube::Error::Api(status) = error else { return ErrorCode::ClusterUnreachable };
    match status.code {
        401 => ErrorCode::ClusterUnauthorized,
        403 if status.message.contains("exceeded quota") => ErrorCode::ClusterRefused,
        // A namespace that does not exist, or that is going away.
        403 | 404 => ErrorCode::ClusterForbidden,
        400..=499 if status.code != 429 && status.code != 408 => ErrorCode::ClusterRefused,
        _ => ErrorCode::ClusterUnreachable,
    }
}
