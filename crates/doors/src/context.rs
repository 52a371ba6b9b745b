//! Parts that all calls of a door share.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use errand_agent::agent_api::Backend;
use errand_agent::model_door::ModelDoorReport;
use errand_agent::redact::Redactor;
use errand_api::agent_file::{ProviderName, Sampling};
use errand_wire::IgnorePointer;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bounds;
use crate::ledger::Ledger;
use crate::provider::Provider;
use crate::recorder::RequestRecorder;
use crate::route::{DoorRoute, RouteWay};
use crate::settings::{DoorSettings, ProxySettings};

/// Settings of a door for its requests.
#[derive(Debug, Default)]
pub(crate) struct DoorRequests {
    /// Members that the digest of a request leaves out, besides those of its format.
    pub(crate) ignored: Vec<IgnorePointer>,
    /// Route of the calls.
    pub(crate) route: Option<DoorRoute>,
    /// Calls of which the bodies are kept.
    pub(crate) sampling: Sampling,
}

/// Parts that all calls of a door share.
pub(crate) struct DoorContext {
    token: Vec<u8>,
    providers: Vec<Arc<Provider>>,
    settings: DoorRequests,
    backend: Arc<dyn Backend>,
    client: ProviderClient,
    ledger: Ledger,
    recorder: RequestRecorder,
    requests: AtomicU64,
    /// Requests without the token of the attempt.
    foreign: AtomicU64,
    /// Calls under way.
    calls: Mutex<JoinSet<()>>,
    /// True once calls under way have to end.
    drained: watch::Sender<bool>,
}

impl fmt::Debug for DoorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoorContext").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl DoorContext {
    pub(crate) fn new(
        (token, redactor): (String, Redactor),
        (providers, settings): (Vec<Arc<Provider>>, DoorRequests),
        backend: Arc<dyn Backend>,
        client: ProviderClient,
    ) -> Self {
        Self {
            token: token.into_bytes(),
            providers,
            settings,
            backend,
            client,
            ledger: Ledger::default(),
            recorder: RequestRecorder::new(redactor),
            requests: AtomicU64::new(0),
            foreign: AtomicU64::new(0),
            calls: Mutex::default(),
            drained: watch::Sender::new(false),
        }
    }

    pub(crate) fn token(&self) -> &[u8] {
        &self.token
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        self.backend.as_ref()
    }

    /// Returns the body of a request as policies see it: JSON, if one of them looks into requests.
    pub(crate) fn seen_body(&self, body: &[u8]) -> Option<serde_json::Value> {
        self.backend.sees_requests().then(|| serde_json::from_slice(body).ok()).flatten()
    }

    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) const fn recorder(&self) -> &RequestRecorder {
        &self.recorder
    }

    pub(crate) fn provider(&self, name: ProviderName) -> Option<Arc<Provider>> {
        self.providers.iter().find(|provider| provider.name == name).cloned()
    }

    /// Members that the digest of a request leaves out, besides those of its format.
    pub(crate) fn ignored(&self) -> &[IgnorePointer] {
        &self.settings.ignored
    }

    /// Calls of which the bodies are kept.
    pub(crate) fn sampling(&self) -> Sampling {
        self.settings.sampling
    }

    /// Returns the way of a call by the route of the door, if it has one for it.
    pub(crate) fn way(&self, provider: ProviderName, model: Option<&str>) -> Option<Arc<RouteWay>> {
        self.settings.route.as_ref()?.way(provider, model?)
    }

    /// Returns the numbers of requests so far.
    pub(crate) fn report(&self) -> ModelDoorReport {
        ModelDoorReport {
            requests: self.requests.load(Ordering::Relaxed),
            foreign: self.foreign.load(Ordering::Relaxed),
        }
    }

    /// Counts a request without the token of the attempt.
    pub(crate) fn count_foreign(&self) {
        self.foreign.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Carries out a call, whatever becomes of its client.
    pub(crate) fn spawn(&self, call: impl Future<Output = ()> + Send + 'static) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        while calls.try_join_next().is_some() {}
        calls.spawn(call);
    }

    /// Completes once calls under way have to end.
    pub(crate) async fn drained(&self) {
        // The sender lives as long as the context.
        drop(self.drained.subscribe().wait_for(|drained| *drained).await);
    }

    /// Returns true if calls under way have to end.
    pub(crate) fn is_drained(&self) -> bool {
        *self.drained.borrow()
    }

    /// Returns the client for providers.
    pub(crate) fn client(&self) -> Result<reqwest::Client, String> {
        self.client.get()
    }

    /// Waits for the calls under way, and ends those that take longer, or all of them once `hurried`
    /// completes.
    pub(crate) async fn drain(&self, hurried: impl Future<Output = ()>) {
        let mut calls =
            std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while calls.join_next().await.is_some() {} };
        let ended = tokio::select! {
            waited = tokio::time::timeout(bounds::DRAIN, all) => waited.is_ok(),
            () = hurried => false,
        };
        if ended {
            return;
        }
        // Their usage so far is recorded.
        self.drained.send_replace(true);
        let all = async { while calls.join_next().await.is_some() {} };
        if tokio::time::timeout(bounds::DRAIN, all).await.is_err() {
            calls.shutdown().await;
        }
    }
}

/// HTTP client for providers, made for the first call. Doors of a process share its connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProviderClient {
    settings: DoorSettings,
    made: Arc<OnceLock<Result<reqwest::Client, String>>>,
}

impl ProviderClient {
    pub(crate) fn new(settings: DoorSettings) -> Self {
        Self { settings, made: Arc::default() }
    }

    pub(crate) fn get(&self) -> Result<reqwest::Client, String> {
        self.made.get_or_init(|| client(&self.settings)).clone()
    }
}

fn client(settings: &DoorSettings) -> Result<reqwest::Client, String> {
    // Fails if a provider is installed already, which is the same one.
    drop(rustls::crypto::ring::default_provider().install_default());
    let ProxySettings { http, https, none } = &settings.proxies;
    let except = none.as_deref().and_then(reqwest::NoProxy::from_string);
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .tcp_nodelay(true)
        .connect_timeout(bounds::CONNECT_TIME)
        .read_timeout(bounds::SILENCE);
    let proxies =
        [http.as_ref().map(reqwest::Proxy::http), https.as_ref().map(reqwest::Proxy::https)];
    for proxy in proxies.into_iter().flatten() {
        let proxy = proxy.map_err(|error| format!("the proxy cannot be used: {error}"))?;
        builder = builder.proxy(proxy.no_proxy(except.clone()));
    }
    builder.build().map_err(|error| error.to_string())
}
