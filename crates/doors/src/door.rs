//! Door of an attempt: listener, tasks and shared parts.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::accept::ServeBounds;
use errand_agent::agent_api::Backend;
use errand_agent::model_door::{
    ModelDoor, ModelDoorError, ModelDoorOrder, ModelDoorReport, ModelGateway, SOCKET_VARIABLE,
    Serving, Shutdown,
};
use errand_agent::redact::Redactor;
use errand_model::failure::Failure;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bounds;
use crate::context::{DoorContext, DoorRequests, ProviderClient};
use crate::egress::{self, EgressProxy};
use crate::handler;
use crate::listening::{Connection, Listening};
use crate::provider::Provider;
use crate::route::DoorRoute;
use crate::settings::DoorSettings;
use crate::tools::ToolGateway;
use crate::variables;

/// Doors to model providers. Nothing is bound or loaded before a door is opened.
#[derive(Clone, Debug, Default)]
pub struct ModelDoors {
    client: ProviderClient,
}

impl ModelDoors {
    /// Returns the doors of a process.
    pub fn new(settings: DoorSettings) -> Self {
        Self { client: ProviderClient::new(settings) }
    }
}

impl ModelGateway for ModelDoors {
    fn open(&self, order: ModelDoorOrder) -> Result<Box<dyn ModelDoor>, ModelDoorError> {
        let providers = order
            .providers
            .iter()
            .map(|it| Provider::new(it).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let pointer =
            |text: String| text.parse().map_err(|_| ModelDoorError::Pointer { pointer: text });
        let ignored = order.ignored.into_iter().map(pointer).collect::<Result<_, _>>()?;
        let route = order.route.map(DoorRoute::new).transpose()?;
        let listener = Listening::open(order.socket.as_deref()).map_err(ModelDoorError::Listen)?;
        let origin = listener.origin().map_err(ModelDoorError::Listen)?;
        let failure = order.tools.as_ref().map(|tools| tools.failed.subscribe());
        let listed = order.tools.as_ref().map(|tools| tools.listed.subscribe());
        let tools = order
            .tools
            .map(|tools| ToolGateway::new(tools, &order.redactor, &self.client).map(Arc::new))
            .transpose()?;
        Ok(Box::new(Door {
            tools,
            proxy: order.has_proxy.then(Arc::default),
            failure,
            listed,
            listener,
            origin,
            socket: order.socket,
            token: order.token,
            redactor: order.redactor,
            providers,
            requests: DoorRequests { ignored, route, sampling: order.sampling },
            doors: self.clone(),
        }))
    }
}

/// A door that is bound and not served yet.
struct Door {
    listener: Listening,
    origin: String,
    socket: Option<PathBuf>,
    token: String,
    redactor: Redactor,
    providers: Vec<Arc<Provider>>,
    requests: DoorRequests,
    tools: Option<Arc<ToolGateway>>,
    proxy: Option<Arc<EgressProxy>>,
    failure: Option<watch::Receiver<Option<Failure>>>,
    listed: Option<watch::Receiver<bool>>,
    doors: ModelDoors,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl ModelDoor for Door {
    fn variables(&self) -> Vec<(&'static str, String)> {
        let all = self.providers.iter();
        let socket = self.socket.iter().map(|it| (SOCKET_VARIABLE, it.display().to_string()));
        let of_models = all.flat_map(|it| variables::of(it.name, &self.origin, &self.token));
        let of_tools =
            self.tools.iter().flat_map(|_| variables::of_tools(&self.origin, &self.token));
        let of_proxy = self.proxy.iter().flat_map(|_| egress::variables(&self.origin, &self.token));
        of_models.chain(of_tools).chain(of_proxy).chain(socket).collect()
    }

    fn failure(&self) -> Option<watch::Receiver<Option<Failure>>> {
        self.failure.clone()
    }

    fn tools_listed(&self) -> Option<watch::Receiver<bool>> {
        self.listed.clone()
    }

    fn serve(self: Box<Self>, backend: Arc<dyn Backend>, shutdown: Shutdown) -> Serving {
        Box::pin(serve(*self, backend, shutdown))
    }
}

/// Serves a door until `shutdown` completes and the calls under way have ended.
async fn serve(door: Door, backend: Arc<dyn Backend>, shutdown: Shutdown) -> ModelDoorReport {
    let Shutdown { closed, hurried } = shutdown;
    let Door { listener, token, redactor, providers, requests, tools, proxy, doors, .. } = door;
    let reached = (providers, requests);
    let context = Arc::new(DoorContext::new((token, redactor), reached, backend, doors.client));
    let mut starting = JoinSet::new();
    if let Some(tools) = tools.clone() {
        let context = Arc::clone(&context);
        starting.spawn(async move { tools.begin(context.backend()).await });
    }
    let bounds = ServeBounds { connections: bounds::CONNECTIONS, drain: Duration::ZERO };
    let served = listener.serve(bounds, closed, |stream| {
        converse(stream, Arc::clone(&context), (tools.clone(), proxy.clone()))
    });
    // A listener that cannot be served has no calls.
    drop(served.await);
    context.drain(hurried).await;
    starting.shutdown().await;
    if let Some(tools) = tools {
        tools.close().await;
    }
    context.report()
}

/// Serves one connection to its end. Its errors do not concern other connections.
async fn converse(
    stream: Box<dyn Connection>,
    context: Arc<DoorContext>,
    (tools, proxy): (Option<Arc<ToolGateway>>, Option<Arc<EgressProxy>>),
) {
    let service = service_fn(move |request| {
        let (context, tools, proxy) = (Arc::clone(&context), tools.clone(), proxy.clone());
        async move {
            let answer = match proxy.filter(|_| egress::is_for_proxy(&request)) {
                Some(proxy) => egress::answer(context, &proxy, request).await,
                None => handler::answer(context, tools, request).await,
            };
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds::HEAD_TIME)
        .max_buf_size(bounds::HEAD_BYTES);
    // The client disconnected or did not speak HTTP: hyper has answered if that was possible.
    drop(builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await);
}
