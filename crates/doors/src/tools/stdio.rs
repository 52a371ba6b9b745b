//! Connection to a tool server over its stdin and stdout.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use errand_agent::process::{ServerPipes, ServerProcess};
use errand_wire::mcp::{McpMessage, RawMcpResponse};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::bounds;
use super::exchange::{LinkError, Outgoing, Reply, RpcError};
use super::lines::{Line, Lines};
use super::rpc;
use super::stderr::ServerLog;

/// Connection to a server that errand started.
#[derive(Debug)]
pub(crate) struct StdioLink {
    shared: Arc<Shared>,
    tasks: Mutex<Tasks>,
}

/// Tasks of a connection, and the process that they serve.
#[derive(Debug)]
struct Tasks {
    all: JoinSet<()>,
    process: Option<ServerProcess>,
}

#[derive(Debug)]
struct Shared {
    /// Messages to the server; `None` once its stdin is closed.
    outgoing: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    pending: Mutex<Pending>,
    next_id: AtomicU64,
    log: ServerLog,
}

/// Requests without an answer.
#[derive(Debug, Default)]
struct Pending {
    requests: HashMap<u64, oneshot::Sender<Reply>>,
    /// Reason for which no answer can come any more.
    gone: Option<String>,
}

impl StdioLink {
    /// Starts a server.
    pub(crate) fn start(
        (argv, env, cwd): (&[OsString], &[(OsString, OsString)], &Path),
        log: ServerLog,
    ) -> io::Result<Self> {
        let (process, ServerPipes { stdin, stdout, stderr }) =
            ServerProcess::start(argv, env, cwd)?;
        let (outgoing, messages) = mpsc::channel(bounds::OUTGOING);
        let shared = Arc::new(Shared {
            outgoing: Mutex::new(Some(outgoing)),
            pending: Mutex::default(),
            next_id: AtomicU64::new(1),
            log: log.clone(),
        });
        let mut all = JoinSet::new();
        all.spawn(write(stdin, messages));
        all.spawn(Arc::clone(&shared).read(stdout));
        all.spawn(log.copy(stderr));
        Ok(Self { shared, tasks: Mutex::new(Tasks { all, process: Some(process) }) })
    }

    pub(crate) async fn request(
        &self,
        request: Outgoing<'_>,
        limit: Duration,
    ) -> Result<Reply, LinkError> {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let answer = self.shared.expect(id)?;
        let message = rpc::request(id, request.method, request.params);
        let answered = async {
            self.shared.send(message).await?;
            answer.await.map_err(|_| self.shared.gone())
        };
        let answered = timeout(limit, answered).await;
        if answered.is_err() {
            self.shared.pending().requests.remove(&id);
            let cancelled = json!({ "requestId": id, "reason": "the time is over" });
            // The server may be stuck: the notification is not waited for.
            let message = rpc::notification("notifications/cancelled", Some(&cancelled));
            self.shared.try_send(message);
        }
        answered.unwrap_or(Err(LinkError::TimedOut(limit)))
    }

    pub(crate) async fn notify(
        &self,
        method: &str,
        params: Option<&Value>,
    ) -> Result<(), LinkError> {
        self.shared.send(rpc::notification(method, params)).await
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.shared.pending().gone.is_some()
    }

    pub(crate) fn stderr_tail(&self) -> Option<String> {
        self.shared.log.tail()
    }

    /// Closes the server's stdin, waits until it ends, and ends it if it does not.
    pub(crate) async fn close(&self) {
        let (process, mut all) = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            (tasks.process.take(), std::mem::take(&mut tasks.all))
        };
        self.shared.outgoing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(process) = process {
            process.end(bounds::END_GRACE).await;
        }
        self.shared.end("it was ended");
        // What it printed last is in its pipes.
        let rest = async { while all.join_next().await.is_some() {} };
        if timeout(bounds::END_GRACE, rest).await.is_err() {
            all.shutdown().await;
        }
    }
}

impl Shared {
    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expects the answer to a request.
    fn expect(&self, id: u64) -> Result<oneshot::Receiver<Reply>, LinkError> {
        let (answer, answered) = oneshot::channel();
        let mut pending = self.pending();
        if let Some(reason) = &pending.gone {
            return Err(LinkError::Gone { reason: reason.clone() });
        }
        pending.requests.insert(id, answer);
        Ok(answered)
    }

    fn gone(&self) -> LinkError {
        let reason = self.pending().gone.clone();
        LinkError::Gone { reason: reason.unwrap_or_else(|| "it ended".to_owned()) }
    }

    fn sender(&self) -> Option<mpsc::Sender<Vec<u8>>> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send(&self, message: Vec<u8>) -> Result<(), LinkError> {
        let Some(sender) = self.sender() else { return Err(self.gone()) };
        sender.send(message).await.map_err(|_| self.gone())
    }

    fn try_send(&self, message: Vec<u8>) {
        if let Some(sender) = self.sender() {
            // A server that takes nothing gets nothing.
            drop(sender.try_send(message));
        }
    }

    /// Ends all requests: no answer can come any more.
    fn end(&self, reason: &str) {
        let mut pending = self.pending();
        pending.gone.get_or_insert_with(|| reason.to_owned());
        // Their clients find the channels closed.
        pending.requests.clear();
    }

    /// Takes the messages of a server, to the end of its stdout.
    async fn read(self: Arc<Self>, stdout: pipe::Receiver) {
        let mut lines = Lines::new(stdout, bounds::MESSAGE_BYTES);
        let mut stray = 0;
        let reason = loop {
            match lines.next().await {
                Ok(Some(Line::Whole(line))) => {
                    if !self.take(line.trim_ascii()) {
                        stray += 1;
                        self.log.printed(&line[..line.len().min(bounds::LOG_LINE_BYTES)]);
                    }
                    if stray > bounds::STRAY_LINES {
                        break format!(
                            "it printed more than {} lines that are no messages on its stdout",
                            bounds::STRAY_LINES
                        );
                    }
                }
                Ok(Some(Line::Cut(_))) => {
                    break format!(
                        "it sent a message of more than {} bytes",
                        bounds::MESSAGE_BYTES
                    );
                }
                Ok(None) => break "it ended".to_owned(),
                Err(error) => break format!("its stdout cannot be read: {error}"),
            }
        };
        self.end(&reason);
    }

    /// Takes one message; false: it is none.
    fn take(&self, line: &[u8]) -> bool {
        if line.is_empty() {
            return true;
        }
        if let Some(RawMcpResponse { id, outcome }) = RawMcpResponse::of(line) {
            let id = id.and_then(|id| id.trim_matches('"').parse::<u64>().ok());
            let waiting = id.and_then(|id| self.pending().requests.remove(&id));
            if let Some(waiting) = waiting {
                let reply = outcome.map_err(|(code, message)| RpcError { code, message });
                // Its client may have gone.
                drop(waiting.send(reply));
            }
            return true;
        }
        match McpMessage::of(line) {
            Ok(McpMessage::Request(request)) => {
                let id = request.id.as_json();
                let answer = if request.method == "ping" {
                    rpc::empty_result(id)
                } else {
                    let message = format!("errand does not serve {}", request.method);
                    let code = errand_wire::mcp::McpErrorCode::MethodNotFound;
                    errand_wire::mcp::error_response(Some(&request.id), code, &message)
                };
                self.try_send(answer);
                true
            }
            Ok(McpMessage::Notification(_) | McpMessage::Response(_)) => true,
            Err(_) => false,
        }
    }
}

/// Writes messages to a server until no more can come, or it takes none.
async fn write(mut stdin: pipe::Sender, mut messages: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut message) = messages.recv().await {
        message.push(b'\n');
        if stdin.write_all(&message).await.is_err() {
            return;
        }
    }
}
