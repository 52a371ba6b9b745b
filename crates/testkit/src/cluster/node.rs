//! Node of a cluster: runs the containers of Pods as processes in mount and process namespaces of their own,
//! with the system's programs, and tells the API server.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Interval at which the node looks for changes.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Name of the node.
const NAME: &str = "node-1";
/// Script that makes the file system of a container and runs its command in it.
const CONTAINER: &str = include_str!("container.sh");

/// Way in which the programs of errand come into a Pod, instead of its first container.
#[derive(Clone)]
pub enum PodPrograms {
    /// The function fills the folder.
    Filled(fn(&Path)),
    /// The first container runs, with this folder on its search path.
    Ran(PathBuf),
}

impl std::fmt::Debug for PodPrograms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PodPrograms")
    }
}

/// A node; all of its Pods are killed when it is dropped.
#[derive(Debug)]
pub struct ClusterNode {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ClusterNode {
    /// Starts a node of the cluster of a kubeconfig.
    #[must_use]
    pub fn start(kubeconfig: &Path, programs: PodPrograms) -> Self {
        let (stop, stopped) = oneshot::channel();
        let kubeconfig = kubeconfig.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let work = work(&kubeconfig, programs);
                tokio::select! { () = work => {}, _ = stopped => {} }
            });
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for ClusterNode {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A node that panicked has said so.
            drop(thread.join());
        }
    }
}

/// Pods by their unique ids, as the API server has them now; `None`: deleted.
type Seen = Arc<Mutex<BTreeMap<String, Pod>>>;

async fn work(kubeconfig: &Path, programs: PodPrograms) {
    let config = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    let client = Client::try_from(config.expect("a kubeconfig")).expect("a client");
    let pods: Api<Pod> = Api::all(client.clone());
    let seen = Seen::default();
    let mut known: Vec<String> = Vec::new();
    let mut running = JoinSet::new();
    loop {
        // A list is as good as a watch here, and survives everything that tests do to watches.
        let params = ListParams::default().labels("app.kubernetes.io/managed-by=errand");
        if let Ok(listed) = pods.list(&params).await {
            let mut now = BTreeMap::new();
            for pod in listed.items {
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                if !known.contains(&uid) {
                    known.push(uid.clone());
                    let (client, programs) = (client.clone(), programs.clone());
                    let kept = Kept { client, pod: pod.clone(), seen: Arc::clone(&seen), programs };
                    running.spawn(kept.run());
                }
                let _before = now.insert(uid, pod);
            }
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
        tokio::select! {
            Some(ended) = running.join_next() => ended.expect("a Pod"),
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

/// A Pod of the node.
struct Kept {
    client: Client,
    pod: Pod,
    seen: Seen,
    programs: PodPrograms,
}

impl Kept {
    fn pods(&self) -> Api<Pod> {
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.client.clone(), namespace)
    }

    fn name(&self) -> String {
        self.pod.metadata.name.clone().unwrap_or_default()
    }

    /// Returns the Pod as it is now; `None`: it is deleted.
    fn now(&self) -> Option<Pod> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(self.pod.metadata.uid.as_deref().unwrap_or_default()).cloned()
    }

    async fn tell(&self, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        // The API server may be away for a while.
        loop {
            match self.pods().patch_status(&self.name(), &PatchParams::default(), &patch).await {
                Ok(_) | Err(kube::Error::Api(_)) => return,
                Err(_) => sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn run(self) {
        let folder = tempfile::tempdir().expect("a folder for the Pod");
        self.bind().await;
        let spec = self.pod.spec.clone().expect("a Pod has a specification");
        if !self.fill(&folder).await {
            return;
        }
        let first = spec.init_containers.into_iter().flatten().next().expect("a first container");
        let container = spec.containers.into_iter().next().expect("a container");
        match &self.programs {
            PodPrograms::Filled(fill) => fill(&folder.path().join("programs")),
            PodPrograms::Ran(programs) => {
                let mut ran = self.started(&first, &folder, Some(programs));
                let ended = ran.wait().await.expect("a container");
                if !ended.success() {
                    let failed = json!({ "phase": "Failed", "initContainerStatuses": [{
                        "name": first.name, "image": "i", "imageID": "i", "ready": false,
                        "restartCount": 0,
                        "state": { "terminated": { "exitCode": ended.code().unwrap_or(137) } },
                    }] });
                    self.tell(failed).await;
                    return;
                }
            }
        }
        let child = self.started(&container, &folder, None);
        let status = |state: Value| {
            json!([{
                "name": container.name, "image": "i", "imageID": "i", "ready": true,
                "restartCount": 0, "state": state,
            }])
        };
        let since = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
        self.tell(json!({ "phase": "Running", "containerStatuses": status(since) })).await;
        let (code, is_deleted) = self.until_ended(child, &folder).await;
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let ended = json!({ "terminated": { "exitCode": code } });
        self.tell(json!({ "phase": phase, "containerStatuses": status(ended) })).await;
        if is_deleted {
            let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            drop(self.pods().delete(&self.name(), &now).await);
        }
    }

    /// Takes the Pod to this node.
    async fn bind(&self) {
        let (name, namespace) =
            (self.name(), self.pod.metadata.namespace.clone().unwrap_or_default());
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
            "target": { "apiVersion": "v1", "kind": "Node", "name": NAME },
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
        let request = http::Request::post(path)
            .header("content-type", "application/json")
            .body(binding.to_string().into_bytes())
            .expect("a request");
        // It is bound already if it was deleted meanwhile.
        drop(self.client.request::<Value>(request).await);
    }

    /// Makes the volumes; waits for the Secret. Returns false if the Pod was deleted before.
    async fn fill(&self, folder: &TempDir) -> bool {
        for volume in ["programs", "files", "secret"] {
            fs::create_dir_all(folder.path().join(volume)).expect("a folder for a volume");
        }
        while !self.refresh(folder).await {
            if self.now().is_none_or(|pod| pod.metadata.deletion_timestamp.is_some()) {
                return false;
            }
            sleep(LOOK_EVERY).await;
        }
        true
    }

    /// Writes the Secret's files. Returns false if there is no Secret.
    async fn refresh(&self, folder: &TempDir) -> bool {
        let spec = self.pod.spec.as_ref().expect("a Pod has a specification");
        let volumes = spec.volumes.iter().flatten();
        let mut secrets = volumes.filter_map(|it| it.secret.as_ref()?.secret_name.clone());
        let name = secrets.next().expect("a volume of a Secret");
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let Ok(Some(secret)) = secrets.get_opt(&name).await else { return false };
        for (name, value) in secret.data.into_iter().flatten() {
            let path = folder.path().join("secret").join(&name);
            let part = folder.path().join(format!("{name}.part"));
            fs::write(&part, value.0).and_then(|()| fs::rename(&part, &path)).expect("a secret");
        }
        true
    }

    fn started(
        &self,
        container: &Container,
        folder: &TempDir,
        programs: Option<&PathBuf>,
    ) -> Child {
        let root = folder.path().join(format!("root-{}", container.name));
        fs::create_dir_all(&root).expect("a folder for the container");
        let mut command = Command::new("/usr/bin/unshare");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "/bin/sh",
            "-c",
            CONTAINER,
            "sh",
        ]);
        command.arg(&root);
        let mut path = "/usr/local/bin:/usr/bin:/bin".to_owned();
        if let Some(programs) = programs {
            let _args = command.arg(programs).arg("/programs");
            path = format!("/programs:{path}");
        }
        for mount in container.volume_mounts.iter().flatten() {
            let mut from = folder.path().join(&mount.name);
            if let Some(part) = &mount.sub_path {
                from = from.join(part);
                if !from.exists() {
                    fs::create_dir_all(&from).expect("a folder for a mount");
                }
            }
            let _args = command.arg(from).arg(&mount.mount_path);
        }
        let _args = command.arg("--").args(container.command.iter().flatten());
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default();
        command.env_clear().env("PATH", path).env("ERRAND_POD_UID", uid);
        let null = Stdio::null;
        command.stdin(null()).stdout(null()).stderr(Stdio::inherit()).kill_on_drop(true);
        command.spawn().expect("a container")
    }

    /// Waits for the end of the container; ends it if the Pod is deleted. Returns its exit code, and true
    /// if the Pod is deleted.
    async fn until_ended(&self, mut child: Child, folder: &TempDir) -> (i32, bool) {
        let mut kill_at = None;
        loop {
            tokio::select! {
                ended = child.wait() => {
                    let code = ended.expect("a container").code().unwrap_or(137);
                    return (code, kill_at.is_some());
                }
                () = sleep(LOOK_EVERY) => {}
            }
            let _refreshed = self.refresh(folder).await;
            let now = self.now();
            let marked = now.as_ref().and_then(|pod| pod.metadata.deletion_timestamp.as_ref());
            if now.is_some() && marked.is_none() {
                continue;
            }
            let grace = now.and_then(|pod| pod.metadata.deletion_grace_period_seconds);
            let grace = Duration::from_secs(u64::try_from(grace.unwrap_or(0)).unwrap_or(0));
            let by = Instant::now() + grace;
            if kill_at.is_none() {
                signal_first(&child, rustix::process::Signal::TERM);
            }
            let by = kill_at.map_or(by, |at: Instant| at.min(by));
            kill_at = Some(by);
            if Instant::now() >= by {
                // With `unshare`, everything in the container ends.
                signal_first(&child, rustix::process::Signal::KILL);
            }
        }
    }
}

/// Signals the first process of a container: the only child of `unshare`.
fn signal_first(unshare: &Child, signal: rustix::process::Signal) {
    let Some(pid) = unshare.id() else { return };
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let first = children.ok().and_then(|all| all.split_whitespace().next()?.parse().ok());
    if let Some(first) = first.and_then(rustix::process::Pid::from_raw) {
        // It may have ended.
        let _sent = rustix::process::kill_process(first, signal);
    }
}
