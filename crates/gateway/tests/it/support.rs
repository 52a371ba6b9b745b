//! Gateway of the test's own process: requests go to its router, without a socket.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use errand_agent::{Harnesses, SystemClock, Targets, os};
use errand_api::access::KeyScope;
use errand_api::audit::Actor;
use errand_engine::keys::{self, CreatedKey};
use errand_engine::supervise::{HangUp, SignalListener};
use errand_engine::worker::{self, Options};
use errand_engine::{Engine, EngineContext, Inner};
use errand_gateway::{Bound, Config, Gateway, Lock, Peer, router};
use errand_store::sqlite::{self, Sqlite};
use errand_store::{Filter, Holder, Page, Registry};
use errand_testkit::{ErrandServer, HttpRequest, LIMIT, Response, TestAgent};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

/// Authority in the `Host` header of requests.
pub(crate) const HOST: &str = "127.0.0.1:7070";
/// Address that requests come from.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// Gateway on a registry of its own. Dropping it ends its worker with all agents.
pub(crate) struct TestGateway {
    router: Router,
    engine: Engine,
    runtime: Runtime,
    /// Threads of the server's loops and of the worker, with what ends them.
    threads: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
    address: Option<SocketAddr>,
    folder: TempDir,
}

impl TestGateway {
    /// Returns an open gateway without a worker.
    pub(crate) fn new() -> Self {
        Self::with(Config::new(SocketAddr::from(([127, 0, 0, 1], 0))))
    }

    /// Returns an open gateway with a configuration of its own, without a worker.
    pub(crate) fn with(config: Config) -> Self {
        let (gateway, test) = Self::create(config);
        drop(gateway);
        test
    }

    /// Returns a gateway that also listens, with its loops and a worker of four slots.
    pub(crate) fn working() -> Self {
        let (gateway, mut test) = Self::create(Config::new(SocketAddr::from(([127, 0, 0, 1], 0))));
        let bound = Bound::bind(gateway).unwrap();
        test.address = Some(bound.address());
        test.threads.push(thread(|ended| async {
            drop(bound.serve(async { drop(ended.await) }).await);
        }));
        let engine = test.engine.clone();
        test.threads.push(thread(move |ended| async move {
            let signals = SignalListener::listen(HangUp::Drains).unwrap();
            let work = worker::work(&engine, Options::new("test", 4), signals.control());
            tokio::select! {
                worked = work => drop(worked.unwrap()),
                _ = ended => {}
            }
        }));
        test
    }

    /// Returns a gateway with a worker, and this agent.
    pub(crate) fn serving(agent: &TestAgent) -> Self {
        Self::working().having(agent)
    }

    /// Registers an agent.
    pub(crate) fn having(self, agent: &TestAgent) -> Self {
        let pushed = self.push(&self.agent(agent)).expect(201).json();
        assert_eq!(pushed["outcome"], "created");
        self
    }

    fn create(config: Config) -> (Gateway, Self) {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let lock = runtime.block_on(Lock::of(&engine)).unwrap();
        let gateway = Gateway::new(engine.clone(), config, lock);
        let router = router(&gateway);
        let test = Self { router, engine, runtime, threads: Vec::new(), address: None, folder };
        (gateway, test)
    }

    /// Returns the address at which a gateway with a worker listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    /// Returns the path of a file beside the registry.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the folder of the registry.
    pub(crate) fn registry(&self) -> PathBuf {
        self.path(".errand")
    }

    /// Writes an agent; returns its folder.
    pub(crate) fn agent(&self, agent: &TestAgent) -> PathBuf {
        agent.write_below(self.folder.path())
    }

    /// Creates a key; returns its whole text.
    pub(crate) fn key(&self, name: &str, scopes: &[KeyScope], namespace: Option<&str>) -> String {
        self.create_key(CreatedKey {
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            scopes: scopes.iter().copied().collect(),
            lasts: None,
        })
    }

    /// Creates a key that expires, with the scope `runs:read`; returns its whole text.
    pub(crate) fn short_lived_key(&self, name: &str, lasts: Duration) -> String {
        let (name, scopes) = (name.to_owned(), BTreeSet::from([KeyScope::RunsRead]));
        self.create_key(CreatedKey { name, namespace: None, scopes, lasts: Some(lasts) })
    }

    fn create_key(&self, new: CreatedKey) -> String {
        self.block_on(keys::create(&self.engine, new, &nobody())).unwrap().text.reveal()
    }

    /// Revokes a key.
    pub(crate) fn revoke(&self, name: &str) {
        drop(self.block_on(keys::revoke(&self.engine, name, None, &nobody())).unwrap());
    }

    /// Returns the ids of all runs.
    pub(crate) fn runs(&self) -> Vec<String> {
        let page = Page { after: None, limit: 1_000 };
        let filter = Filter::default();
        let (runs, damaged) = self.block_on(self.engine.store().list(&filter, &page)).unwrap();
        assert!(damaged.is_empty());
        runs.iter().map(|stored| stored.run.id.to_string()).collect()
    }

    /// Sends a request to the router; returns the whole response.
    pub(crate) fn send(&self, request: &HttpRequest) -> Response {
        self.block_on(self.whole_response(request))
    }

    /// Sends requests together; returns their whole responses.
    pub(crate) fn send_together(&self, requests: &[HttpRequest]) -> Vec<Response> {
        let responses = requests.iter().map(|request| self.whole_response(request));
        self.block_on(futures_util::future::join_all(responses))
    }

    async fn whole_response(&self, request: &HttpRequest) -> Response {
        let response = self.router.clone().oneshot(converted(request)).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = tokio::time::timeout(LIMIT, body.collect()).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&bytes.to_bytes()).into_owned();
        received(&parts, text)
    }

    /// Sends a request for a stream; returns what comes until it is silent for `silence`.
    pub(crate) fn beginning(&self, request: &HttpRequest, silence: Duration) -> Response {
        self.block_on(async {
            let response = self.router.clone().oneshot(converted(request)).await.unwrap();
            let (parts, mut body) = response.into_parts();
            let mut text = String::new();
            while let Ok(Some(Ok(frame))) = tokio::time::timeout(silence, body.frame()).await {
                text += &String::from_utf8_lossy(frame.data_ref().unwrap());
            }
            received(&parts, text)
        })
    }

    /// Sends a GET.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.send(&HttpRequest::new("GET", target))
    }

    /// Sends JSON.
    pub(crate) fn post(&self, target: &str, body: &Value) -> Response {
        self.send(&json_request("POST", target, body))
    }

    /// Registers the agent in a folder.
    pub(crate) fn push(&self, folder: &Path) -> Response {
        self.send(&ErrandServer::push_request(folder, ""))
    }

    /// Starts a run; returns its id.
    pub(crate) fn create_run(&self, body: &Value) -> String {
        let record = self.post("/v1/runs", body).expect(202).json();
        record["run_id"].as_str().unwrap().to_owned()
    }

    /// Returns the status of a run.
    pub(crate) fn status(&self, run_id: &str) -> Value {
        self.get(&format!("/v1/runs/{run_id}")).expect(200).json()["status"].clone()
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        for (end, thread) in self.threads.drain(..) {
            drop(end);
            // A panic of the thread has been printed.
            drop(thread.join());
        }
    }
}

/// Returns a request with a JSON body.
pub(crate) fn json_request(method: &str, target: &str, body: &Value) -> HttpRequest {
    let request = HttpRequest::new(method, target).body(body.to_string());
    request.header("Content-Type", "application/json")
}

/// Returns a request with a key.
pub(crate) fn with_key(request: HttpRequest, key: &str) -> HttpRequest {
    request.header("Authorization", &format!("Bearer {key}"))
}

/// Returns an agent that stays until it is ended.
pub(crate) fn sleeper() -> TestAgent {
    TestAgent::shell("exec sleep 600\n").named("sleeper")
}

/// Runs a future on a thread of its own, until the returned sender is dropped.
fn thread<F>(
    work: impl FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
) -> (oneshot::Sender<()>, JoinHandle<()>)
where
    F: Future<Output = ()>,
{
    let (end, ended) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work(ended));
    });
    (end, thread)
}

fn engine(root: &Path) -> Engine {
    let registry = Registry::at(root.join(".errand"));
    let store = Sqlite::open(&registry, sqlite::Options::CREATE).unwrap();
    let path = (OsString::from("PATH"), std::env::var_os("PATH").unwrap());
    let surroundings = EngineContext {
        registry,
        environment: BTreeMap::from([path]),
        program: std::env::current_exe().unwrap(),
        identity: root.join("identity.txt"),
        runtime_dir: root.join("run"),
        targets: Targets::default(),
        harnesses: Harnesses::default(),
        model_gateway: None,
    };
    let process = os::own_identity().unwrap();
    let holder = Holder { host: os::host_name(), process, worker: None };
    let (store, clock) = (Arc::new(store), Arc::new(SystemClock));
    Engine::new(Inner { surroundings, store, clock, holder })
}

fn nobody() -> Actor {
    Actor { key: None, name: None, from: "-".to_owned() }
}

fn converted(request: &HttpRequest) -> Request {
    let mut converted = Request::builder().method(request.verb()).uri(request.target());
    if request.headers().iter().all(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        converted = converted.header("host", HOST);
    }
    for (name, value) in request.headers() {
        converted = converted.header(name, value);
    }
    let mut converted = converted.body(Body::from(request.content().to_vec())).unwrap();
    converted.extensions_mut().insert(Peer(PEER));
    converted
}

fn received(parts: &axum::http::response::Parts, body: String) -> Response {
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    Response {
        status: parts.status.as_u16(),
        headers: parts.headers.iter().map(header).collect(),
        body,
    }
}
