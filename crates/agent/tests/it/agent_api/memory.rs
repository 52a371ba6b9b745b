//! A server with a backend in memory, and clients of it.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::agent_api::{AgentApiServer, Backend, Bind, Client, Revoke};
use errand_testkit::conformance::MemoryBackend;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub(super) const TOKEN: &str = "a-token-of-this-attempt";

/// A server on its own socket, with a backend in memory.
pub(super) struct World {
    pub(super) memory: Arc<MemoryBackend>,
    pub(super) url: String,
    pub(super) revoke: Revoke,
    pub(super) folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_calls_together(1)
    }

    pub(super) fn with_calls_together(calls: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let memory = Arc::new(MemoryBackend::with_parts_together(calls));
        let uploads = folder.path().join("uploads");
        std::fs::create_dir(&uploads).unwrap();
        let bind = Bind {
            socket: folder.path().join("api.sock"),
            token: TOKEN.to_owned(),
            uploads,
            leaves_file: false,
        };
        let server = AgentApiServer::bind(bind, Arc::clone(&memory) as Arc<dyn Backend>).unwrap();
        let (url, revoke) = (server.url(), server.revoke_handle());
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            server
                .serve(async {
                    drop(stopped.await);
                })
                .await;
        });
        Self { memory, url, revoke, folder, stop: Some(stop), tasks }
    }

    pub(super) fn client(&self) -> Client {
        self.client_with(TOKEN)
    }

    pub(super) fn client_with(&self, token: &str) -> Client {
        let url = OsStr::new(&self.url);
        Client::from_environment(Some(url), Some(OsStr::new(token))).unwrap()
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    pub(super) fn uploads(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("uploads")).unwrap().count()
    }

    /// Shuts the server down and waits for its end.
    pub(super) async fn shut_down(&mut self) {
        drop(self.stop.take());
        self.tasks.join_next().await.unwrap().unwrap();
    }

    /// Sends bytes on a new connection and reads the answer until the server closes the connection.
    pub(super) async fn raw(&self, bytes: Vec<u8>) -> String {
        let socket = self.socket();
        let exchange = move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            // A server may answer and close the connection before it has read everything.
            drop(stream.write_all(&bytes));
            let mut answer = Vec::new();
            drop(stream.read_to_end(&mut answer));
            String::from_utf8_lossy(&answer).into_owned()
        };
        tokio::task::spawn_blocking(exchange).await.unwrap()
    }

    /// Sends a request with a body, which asks for the connection to be closed; returns the answer.
    pub(super) async fn request(&self, method: &str, path: &str, body: &str) -> String {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: bearer {TOKEN}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        self.raw(head.into_bytes()).await
    }
}
