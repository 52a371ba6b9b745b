//! A listener on a thread of its own, and a client that sends exact bytes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use errand_engine::listener::{BoundListener, Ingress, IngressOutcome, IngressRequest};
use errand_model::RunId;
use errand_model::event::{ListenerSpec, Respond};
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};

pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Returns a specification that allows everything.
pub(super) fn open() -> ListenerSpec {
    ListenerSpec {
        listen_addr: "127.0.0.1:0".to_owned(),
        path: None,
        methods: Vec::new(),
        secret_sha256: None,
        max_body_bytes: 1000,
        max_header_bytes: 4096,
        max_parallel: 2,
        respond: Respond::AtEnd,
        hosts: vec!["x".to_owned()],
    }
}

pub(super) fn run_id() -> RunId {
    "01hzy0000000000000az".parse().unwrap()
}

pub(super) fn done() -> IngressOutcome {
    IngressOutcome::Done { run_id: run_id() }
}

/// A service that notes its requests, and ends a wake when there is a permit for it.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) payloads: Mutex<Vec<Value>>,
    pub(super) permits: Semaphore,
    pub(super) running: AtomicUsize,
    pub(super) most_running: AtomicUsize,
    outcome: IngressOutcome,
}

#[async_trait]
impl Ingress for Service {
    async fn wake(&self, request: IngressRequest, reply: oneshot::Sender<IngressOutcome>) {
        self.payloads.lock().unwrap().push(request.into_payload());
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        self.permits.acquire().await.unwrap().forget();
        self.running.fetch_sub(1, Ordering::SeqCst);
        drop(reply.send(self.outcome.clone()));
    }
}

/// A running listener.
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Place {
    /// Starts a service whose wakes complete at once.
    pub(super) fn new(spec: ListenerSpec) -> Self {
        Self::with(spec, done(), 1_000_000)
    }

    /// Starts a service whose wakes end with `outcome`: `permits` of them at once, the others
    /// later.
    pub(super) fn with(spec: ListenerSpec, outcome: IngressOutcome, permits: usize) -> Self {
        let service = Arc::new(Service {
            payloads: Mutex::default(),
            permits: Semaphore::new(permits),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            outcome,
        });
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let handler: Arc<dyn Ingress> = Arc::<Service>::clone(&service);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = BoundListener::bind(&spec).await.unwrap();
                tell.send(listener.bound_addr()).unwrap();
                let stopped = async { drop(stopped.await) };
                listener.serve(handler, stopped).await;
            });
        });
        let address = told.recv_timeout(LIMIT).unwrap();
        Self { address, service, stop: Some(stop), thread: Some(thread) }
    }

    pub(super) fn payloads(&self) -> Vec<Value> {
        self.service.payloads.lock().unwrap().clone()
    }

    pub(super) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Client(stream)
    }

    /// Sends bytes, closes for writing, and reads to the end.
    pub(super) fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(bytes);
        client.rest()
    }

    /// Returns the response to a request that asks for the connection to be closed.
    pub(super) fn ask(&self, line: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        self.send(format!(
            "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}"
        ))
    }

    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the listener has ended.
    pub(super) fn join(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }

    /// Waits until `wakes` wakes run.
    pub(super) fn until_running(&self, wakes: usize) {
        wait(|| self.service.running.load(Ordering::SeqCst) == wakes);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop();
        self.service.permits.add_permits(1_000_000);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

pub(super) fn wait(condition: impl FnMut() -> bool) {
    errand_testkit::wait_until("the condition holds", LIMIT, condition);
}

/// A client connection.
pub(super) struct Client(pub(super) TcpStream);

impl Client {
    /// A server may respond and close before it has read everything: no failure here.
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.0.write_all(bytes.as_ref()));
    }

    /// Returns everything until the server closes.
    pub(super) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // After a reset the bytes before it count.
        drop(self.0.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the bytes up to and including `end`.
    pub(super) fn until(&mut self, end: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end.as_bytes()) {
            let mut byte = [0];
            let read = self.0.read(&mut byte).unwrap();
            let so_far = String::from_utf8_lossy(&bytes);
            assert_eq!(read, 1, "closed after {so_far:?}, before {end:?}");
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).unwrap()
    }
}

/// Returns the status code of a response.
#[track_caller]
pub(super) fn status(answer: &str) -> u16 {
    let code = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// Returns the JSON body of a response.
#[track_caller]
pub(super) fn body(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}
