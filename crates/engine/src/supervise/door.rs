//! Door to the model providers of an attempt's agent.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use errand_agent::agent_api::Backend;
use errand_agent::model_door::{ModelDoor, ModelDoorOrder, ModelDoorReport, ModelProvider};
use errand_agent::redact::Redactor;
use errand_agent::secret::FoundSecret;
use errand_api::agent_file::{Agent, ProviderName, Providers};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::error::AgentUnsupported;
use crate::{EngineContext, Error};

/// Opens the door of an agent that has providers; `None` for any other agent.
///
/// # Errors
///
/// If this program has no model gateway, or an address or a key cannot be used.
pub(super) fn opened(
    around: &EngineContext,
    agent: &Agent,
    secrets: &[FoundSecret],
    (token, redactor): (&str, &Redactor),
    socket: Option<PathBuf>,
) -> Result<Option<Box<dyn ModelDoor>>, Error> {
    if agent.providers.is_empty() {
        return Ok(None);
    }
    let Some(gateway) = &around.model_gateway else {
        return Err(AgentUnsupported::asking_for(&["the model gateway".to_owned()]).into());
    };
    let order = ModelDoorOrder {
        token: token.to_owned(),
        providers: providers(around, &agent.providers, secrets),
        redactor: redactor.clone(),
        socket,
    };
    Ok(Some(gateway.open(order)?))
}

/// Returns the variables of a door, if there is one.
pub(super) fn variables(
    door: Option<&dyn ModelDoor>,
) -> impl Iterator<Item = (&'static str, OsString)> {
    let variables = door.map(ModelDoor::variables).unwrap_or_default();
    variables.into_iter().map(|(name, value)| (name, value.into()))
}

/// Returns the providers with their keys and addresses. Missing keys were reported before.
fn providers(
    around: &EngineContext,
    configured: &Providers,
    secrets: &[FoundSecret],
) -> Vec<ModelProvider> {
    let with_key = configured.iter().filter_map(|(name, provider)| {
        let key = secrets.iter().find(|secret| secret.name == provider.key)?.clone();
        let base_url = provider.base_url.clone().unwrap_or_else(|| address(around, name));
        Some(ModelProvider { name, base_url, key })
    });
    with_key.collect()
}

/// Returns the address of a provider whose configuration names none.
fn address(around: &EngineContext, name: ProviderName) -> String {
    let own = around.environment.get(OsStr::new(name.base_url_variable()));
    let own = own.and_then(|url| url.to_str()).filter(|url| !url.is_empty());
    own.unwrap_or(name.public_base_url()).to_owned()
}

/// A door that is being served by a task of its own.
#[derive(Debug)]
pub(super) struct ServedDoor {
    task: JoinSet<ModelDoorReport>,
    close: oneshot::Sender<()>,
}

impl ServedDoor {
    /// Serves a door with the backend of its attempt.
    pub(super) fn begin(door: Box<dyn ModelDoor>, backend: Arc<dyn Backend>) -> Self {
        let (close, closing) = oneshot::channel();
        let mut task = JoinSet::new();
        // A supervisor that is gone closes the door too.
        task.spawn(door.serve(backend, Box::pin(async { drop(closing.await) })));
        Self { task, close }
    }

    /// Closes the door, and waits until the calls under way are recorded.
    pub(super) async fn close(self) -> ModelDoorReport {
        let Self { mut task, close } = self;
        drop(close);
        task.join_next().await.and_then(Result::ok).unwrap_or_default()
    }
}

/// Returns what to say about a run whose agent had providers and called none through the door.
pub(super) fn unused_note(agent: &Agent, report: ModelDoorReport) -> Option<String> {
    if report.requests > 0 || agent.providers.is_empty() {
        return None;
    }
    let names: Vec<&str> = agent.providers.iter().map(|(name, _)| name.as_str()).collect();
    let variables: Vec<&str> =
        agent.providers.iter().map(|(name, _)| name.base_url_variable()).collect();
    Some(format!(
        "no model call came through errand, although {} is configured: the program may not read {}",
        names.join(", "),
        variables.join(", ")
    ))
}
