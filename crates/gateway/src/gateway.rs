//! State shared by all handlers.

use std::collections::HashMap;
use std::sync::Arc;

use errand_api::gateway::{openapi, routes};
use errand_engine::Engine;
use errand_engine::agents::{Parcel, Version};
use errand_engine::keys::Verifier;
use errand_engine::outbox::Addresses;
use errand_engine::tasks::TaskCache;
use serde_json::Value;
use tokio::sync::watch;

use crate::Config;
use crate::feed::Feeds;
use crate::hub::Hub;
use crate::lock::Lock;
use crate::metrics::Metrics;
use crate::parcels::Parcels;
use crate::rate::Rates;
use crate::refusal::Refusal;
use crate::schema_check::Checked;
use crate::versions::VersionLookups;

/// A gateway on one registry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gateway {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    config: Config,
    hub: Hub,
    feeds: Feeds,
    bodies: HashMap<&'static str, Checked>,
    queries: HashMap<&'static str, Checked>,
    openapi: Value,
    closing: watch::Sender<bool>,
    lock: Lock,
    verifier: Verifier,
    rates: Rates,
    metrics: Arc<Metrics>,
    parcels: Parcels,
    versions: VersionLookups,
    task_cache: TaskCache,
}

impl Gateway {
    /// Creates a gateway, to be served by [`crate::Bound::serve`]. The lock says whether keys are
    /// required.
    pub fn new(engine: Engine, config: Config, lock: Lock) -> Self {
        let (mut bodies, mut queries) = (HashMap::new(), HashMap::new());
        for route in routes::all() {
            // A schema that does not compile checks nothing: a test compiles all of them.
            let body = openapi::body_schema(route).and_then(Checked::new);
            bodies.extend(body.map(|checked| (route.id, checked)));
            let query = openapi::query_schema(route).and_then(Checked::new);
            queries.extend(query.map(|checked| (route.id, checked)));
        }
        let document = served_document(&config);
        let (hub, closing) = (Hub::new(), watch::Sender::new(false));
        let feeds = Feeds::new(engine.clone(), hub.clone(), closing.subscribe());
        Self {
            inner: Arc::new(Inner {
                lock,
                verifier: Verifier::default(),
                rates: Rates::new(config.requests_per_second, config.burst),
                metrics: Arc::default(),
                engine,
                config,
                hub,
                feeds,
                bodies,
                queries,
                openapi: document,
                closing,
                parcels: Parcels::default(),
                versions: VersionLookups::default(),
                task_cache: TaskCache::default(),
            }),
        }
    }

    /// Returns the engine.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Returns the hub that wakes followers of runs.
    pub(crate) fn hub(&self) -> &Hub {
        &self.inner.hub
    }

    /// Returns the live feeds.
    pub(crate) fn feeds(&self) -> &Feeds {
        &self.inner.feeds
    }

    /// Returns the validator of a route's JSON body.
    pub(crate) fn body_of(&self, route: &str) -> Option<&Checked> {
        self.inner.bodies.get(route)
    }

    /// Returns the validator of a route's query.
    pub(crate) fn query_of(&self, route: &str) -> Option<&Checked> {
        self.inner.queries.get(route)
    }

    /// Returns the `OpenAPI` document.
    pub(crate) fn openapi(&self) -> &Value {
        &self.inner.openapi
    }

    /// Returns the lock.
    pub(crate) fn lock(&self) -> &Lock {
        &self.inner.lock
    }

    /// Returns the addresses that reports of runs may go to. Loopback is included if the server is
    /// open and listens on loopback only, as in development.
    ///
    /// # Errors
    ///
    /// If the registry cannot be asked for keys.
    pub(crate) async fn callback_addresses(&self) -> Result<Addresses, Refusal> {
        let config = self.config();
        let is_alone = config.listen.ip().is_loopback();
        let loopback = is_alone && !self.lock().is_locked_now(self.engine()).await?;
        Ok(Addresses { rules: config.allow_callbacks.clone(), loopback })
    }

    /// Returns the verifier of keys.
    pub(crate) fn verifier(&self) -> &Verifier {
        &self.inner.verifier
    }

    /// Returns the rate limits.
    pub(crate) fn rates(&self) -> &Rates {
        &self.inner.rates
    }

    /// Returns the metrics of requests.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    /// Returns the parcel of a version, which is read at most once.
    pub(crate) fn parcel(&self, version: &Version) -> Result<Arc<Parcel>, Refusal> {
        self.inner.parcels.open(self.engine(), version)
    }

    /// Returns the lookups of agents' versions.
    pub(crate) fn versions(&self) -> &VersionLookups {
        &self.inner.versions
    }

    /// Returns what tasks share.
    pub(crate) fn task_cache(&self) -> &TaskCache {
        &self.inner.task_cache
    }

    /// Notifies all waiting tasks that the gateway is shutting down.
    pub(crate) fn close(&self) {
        self.inner.closing.send_replace(true);
    }

    /// Returns true if the gateway is shutting down.
    pub(crate) fn is_closing(&self) -> bool {
        *self.inner.closing.borrow()
    }

    /// Completes once the gateway is shutting down. Long waits and streams end with it.
    pub(crate) async fn closing(&self) {
        let mut closing = self.inner.closing.subscribe();
        // The sender lives as long as the gateway.
        drop(closing.wait_for(|is_closing| *is_closing).await);
    }
}

/// Returns the OpenAPI document of the routes that a gateway serves.
fn served_document(config: &Config) -> Value {
    let mut document = openapi::document();
    if let Some(paths) = document["paths"].as_object_mut() {
        let absent = routes::areas().iter().filter(|area| !config.serves(area));
        for route in absent.flat_map(|area| area.routes) {
            paths.remove(route.path);
        }
    }
    document
}
