//! Cluster of the tests: the part of a Kubernetes API server that errand needs, and a node that runs Pods
//! as processes in namespaces of their own.
//!
//! [`ScriptedCluster`] also does what a test cannot wait for a real one to do: it refuses, forgets the place
//! of a watch, and is away. [`ClusterNode`] works with a real API server, too.

mod api;
mod controller;
mod node;
mod objects;
mod real;

pub use node::{ClusterNode, PodPrograms};
pub use real::RealCluster;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use objects::Objects;

/// Refusal that a test scripts.
#[derive(Clone, Debug)]
pub struct ScriptedRefusal {
    /// Method of the requests, such as `POST`.
    pub method: &'static str,
    /// Resource of the requests, such as `jobs`.
    pub resource: &'static str,
    /// Status of the answer.
    pub code: u16,
    /// Reason in the answer, such as `Forbidden`.
    pub reason: &'static str,
    /// Text in the answer.
    pub message: &'static str,
}

/// Events that a test has scripted.
#[derive(Debug, Default)]
pub(crate) struct Script {
    refusals: Vec<ScriptedRefusal>,
    quota: Option<String>,
    denied: Vec<(String, String)>,
    watches: u64,
}

/// State that requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    objects: Mutex<Objects>,
    script: Mutex<Script>,
    /// Version of the last change, which wakes watches.
    changed: watch::Sender<u64>,
    /// Number that ends all watches when it grows.
    cut: watch::Sender<u64>,
}

impl Shared {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes objects, lets the controller follow, and wakes watches.
    fn change<T>(&self, how: impl FnOnce(&mut Objects) -> T) -> T {
        let quota = self.script().quota.clone();
        let mut objects = self.objects();
        let changed = how(&mut objects);
        controller::reconcile(&mut objects, quota.as_deref());
        let version = objects.version();
        drop(objects);
        self.changed.send_replace(version);
        changed
    }
}

/// API server of the tests.
#[derive(Debug)]
pub struct ScriptedCluster {
    shared: Arc<Shared>,
    address: SocketAddr,
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Default for ScriptedCluster {
    fn default() -> Self {
        Self::new()
    }
}

impl ScriptedCluster {
    /// Starts an API server without nodes.
    #[must_use]
    pub fn new() -> Self {
        let shared = Arc::new(Shared {
            objects: Mutex::default(),
            script: Mutex::default(),
            changed: watch::Sender::new(0),
            cut: watch::Sender::new(0),
        });
        let folder = tempfile::tempdir().expect("a folder for the kubeconfig");
        let (stop, server, address) = serve(Arc::clone(&shared), None);
        let cluster = Self { shared, address, folder, stop: Some(stop), server: Some(server) };
        let config = cluster.kubeconfig();
        let text = format!(
            "apiVersion: v1\nkind: Config\n\
             clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
             users: [{{name: u, user: {{token: tok}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u, namespace: agents}}}}]\n\
             current-context: c\n"
        );
        std::fs::write(config, text).expect("a kubeconfig");
        cluster
    }

    /// Returns the path of a kubeconfig for this cluster.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Refuses such requests from now on.
    pub fn refuse(&self, refusal: ScriptedRefusal) {
        self.shared.script().refusals.push(refusal);
    }

    /// Accepts requests again.
    pub fn accept(&self) {
        let mut script = self.shared.script();
        script.refusals.clear();
        script.quota = None;
        drop(script);
        self.shared.change(|_| ());
    }

    /// Lets the controller make no Pods, and say why in an event.
    pub fn exceed_quota(&self, message: &str) {
        self.shared.script().quota = Some(message.to_owned());
    }

    /// Denies a right, as far as it is asked about.
    pub fn deny(&self, verb: &str, resource: &str) {
        self.shared.script().denied.push((verb.to_owned(), resource.to_owned()));
    }

    /// Ends all watches; `forgets`: none of them can be resumed where it ended.
    pub fn cut_watches(&self, forgets: bool) {
        if forgets {
            self.shared.objects().forget();
        }
        self.shared.cut.send_modify(|number| *number += 1);
    }

    /// Number of watches that were begun.
    #[must_use]
    pub fn watches(&self) -> u64 {
        self.shared.script().watches
    }

    /// Stops the API server; objects stay.
    pub fn go_away(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            server.join().expect("the API server");
        }
    }

    /// Starts it again, at the same address.
    pub fn come_back(&mut self) {
        let (stop, server, _) = serve(Arc::clone(&self.shared), Some(self.address));
        (self.stop, self.server) = (Some(stop), Some(server));
    }

    /// Returns all objects of a resource, such as `pods`.
    #[must_use]
    pub fn all(&self, resource: &str) -> Vec<Value> {
        self.shared.objects().all(resource)
    }

    /// Creates an object, as another program would.
    pub fn put(&self, resource: &str, namespace: &str, object: Value) {
        self.shared
            .change(|objects| objects.create(resource, namespace, object))
            .expect("a new name");
    }

    /// Merges a change into an object of any namespace, as another program would.
    pub fn merge(&self, resource: &str, name: &str, change: &Value) {
        self.shared.change(|objects| objects.merge_any(resource, name, change));
    }

    /// Removes an object of any namespace, as another program would.
    pub fn remove(&self, resource: &str, name: &str) {
        self.shared.change(|objects| objects.remove_any(resource, name));
    }
}

impl Drop for ScriptedCluster {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            // A server that panicked has said so.
            drop(server.join());
        }
    }
}

/// Serves on a thread of its own.
fn serve(
    shared: Arc<Shared>,
    address: Option<SocketAddr>,
) -> (oneshot::Sender<()>, JoinHandle<()>, SocketAddr) {
    let (stop, stopped) = oneshot::channel();
    let wanted = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let socket = std::net::TcpListener::bind(wanted).expect("a port");
    socket.set_nonblocking(true).expect("a socket that does not block");
    let address = socket.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let socket = TcpListener::from_std(socket).expect("a socket");
            api::serve(socket, shared, stopped).await;
        });
    });
    (stop, server, address)
}

/// Returns true on a machine that can have a [`ClusterNode`]; else says on stderr that a test is skipped.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#[must_use]
pub fn can_have_node() -> bool {
    let can = rustix::process::getuid().is_root() && Path::new("/usr/bin/unshare").exists();
    if !can {
        eprintln!("SKIPPED: no Pods without root and /usr/bin/unshare");
    }
    can
}
