//! The seam to the gateways: one door for each attempt whose agent has providers or tool servers.
//!
//! A door is an address of this machine at which the agent finds its model providers and its tools.
//! Doors know the formats of both and nothing of journals: each request is a call to the attempt's
//! [`Backend`].

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use errand_api::agent_file::{ProviderName, Sampling};
use errand_api::catalog::FallbackCause;
use errand_model::failure::Failure;
use thiserror::Error;
use tokio::sync::watch;

use crate::agent_api::Backend;
use crate::redact::Redactor;
use crate::secret::FoundSecret;
use crate::tool_door::ToolDoorOrder;

/// Variable with the path of a door's socket, for the shim of a container.
pub const SOCKET_VARIABLE: &str = "ERRAND_MODEL_SOCKET";
/// Port of a container's loopback address at which its shim relays to that socket.
pub const RELAY_PORT: u16 = 4141;

/// Opens doors to model providers.
pub trait ModelGateway: Send + Sync + fmt::Debug {
    /// Binds the door of an attempt. Connections wait until it is served.
    ///
    /// # Errors
    ///
    /// [`ModelDoorError`]; nothing is left behind.
    fn open(&self, order: ModelDoorOrder) -> Result<Box<dyn ModelDoor>, ModelDoorError>;
}

/// An open door.
pub trait ModelDoor: Send + Sync + fmt::Debug {
    /// Variables in which SDKs and coding agents look for their providers and keys.
    fn variables(&self) -> Vec<(&'static str, String)>;

    /// Failure for which the attempt has to end, once there is one. `None`: there will be none.
    fn failure(&self) -> Option<watch::Receiver<Option<Failure>>>;

    /// True once the tools of the attempt are listed, or need not be before the agent asks for them.
    /// `None`: there are no tools.
    fn tools_listed(&self) -> Option<watch::Receiver<bool>>;

    /// Serves the door until `shutdown` completes, and then for as long as the calls under way
    /// need to learn their usage, within a bound, or until it says that they are not waited for.
    fn serve(self: Box<Self>, backend: Arc<dyn Backend>, shutdown: Shutdown) -> Serving;
}

/// Says when a door is to be closed.
pub struct Shutdown {
    /// Completes when the door is to be closed.
    pub closed: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Completes when the calls under way are not waited for any more. They count as reserved.
    pub hurried: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").finish_non_exhaustive()
    }
}

/// Service of a door, until it is closed.
pub type Serving = Pin<Box<dyn Future<Output = ModelDoorReport> + Send>>;

/// Calls that came through a door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelDoorReport {
    /// Requests with the token of the attempt.
    pub requests: u64,
    /// Requests to providers without it, which were refused.
    pub foreign: u64,
}

/// Door that is wanted for an attempt.
#[derive(Debug)]
pub struct ModelDoorOrder {
    /// Token of the attempt, which is the agent's key for every provider.
    pub token: String,
    /// Providers that the agent may reach.
    pub providers: Vec<ModelProvider>,
    /// Ways of calls to other models and providers.
    pub route: Option<ModelRouting>,
    /// JSON pointers to members of requests that do not count when a recorded answer is looked for.
    pub ignored: Vec<String>,
    /// Model calls of which the bodies are kept.
    pub sampling: Sampling,
    /// Tools that the agent may call.
    pub tools: Option<ToolDoorOrder>,
    /// The agent reaches hosts through a proxy of the door.
    pub has_proxy: bool,
    /// Masks the requests that are recorded.
    pub redactor: Redactor,
    /// Path of a socket at which the door is served, for an agent that does not see this machine:
    /// a relay beside it listens at [`RELAY_PORT`]. `None`: the door is a loopback address.
    pub socket: Option<PathBuf>,
}

/// A provider with its address and key.
#[derive(Clone, Debug)]
pub struct ModelProvider {
    /// Name of the provider.
    pub name: ProviderName,
    /// Address, in the form of [`ProviderName::base_url_variable`].
    pub base_url: String,
    /// Key that the provider asks for.
    pub key: FoundSecret,
}

/// Route of an attempt's model calls, with the keys of its providers.
#[derive(Debug)]
pub struct ModelRouting {
    /// Name of the route.
    pub name: String,
    /// Entries; the first that fits a call decides.
    pub entries: Vec<RoutedCalls>,
}

/// Way of the calls of some models.
#[derive(Debug)]
pub struct RoutedCalls {
    /// Pattern of the models that the agent asks for.
    pub pattern: String,
    /// Models and providers, in the order in which they are called.
    pub targets: Vec<RoutedModel>,
    /// Causes for which the next one is called.
    pub causes: Vec<FallbackCause>,
    /// Time in which an answer has to begin.
    pub timeout: Option<Duration>,
}

/// A model of a provider.
#[derive(Debug)]
pub struct RoutedModel {
    /// Provider with its address and key.
    pub provider: ModelProvider,
    /// Name of the model; `None`: the one that the agent asks for.
    pub model: Option<String>,
}

/// Error: a door cannot be opened.
#[derive(Debug, Error)]
pub enum ModelDoorError {
    /// The address of a provider is no URL.
    #[error("the address {url:?} of the provider {} is not a URL", provider.as_str())]
    BaseUrl {
        /// Provider.
        provider: ProviderName,
        /// Address as given.
        url: String,
    },
    /// The address of a tool server is no URL, or one of its headers cannot be sent.
    #[error("the tool server {server} cannot be reached: {reason}")]
    ToolServer {
        /// Name of the server.
        server: String,
        /// Problem with its address or its headers.
        reason: String,
    },
    /// The program of a tool server cannot be executed.
    #[error("the tool server {server} cannot be started: {reason}")]
    ToolProgram {
        /// Name of the server.
        server: String,
        /// Problem with its program.
        reason: String,
    },
    /// The key of a provider cannot be a part of a header.
    #[error("the secret {name} cannot be a key: it has characters that no HTTP header may have")]
    Key {
        /// Name of the secret.
        name: String,
    },
    /// A text is no pointer to a member of requests.
    #[error("{pointer:?} of `replay.ignore` is not a JSON pointer")]
    Pointer {
        /// Text as given.
        pointer: String,
    },
    /// No address of this machine could be listened on.
    #[error("cannot listen on the loopback address of this machine")]
    Listen(#[source] io::Error),
}
