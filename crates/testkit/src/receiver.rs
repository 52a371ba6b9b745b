//! Receiver of webhooks with scripted reactions: it responds, delays, or disconnects.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::LIMIT;

/// Reaction to a request.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Responds with this status, these headers, this body.
    Answer(u16, Vec<(String, String)>, String),
    /// Reads the request and disconnects without a response.
    HangUp,
    /// Reads the request and keeps the connection, without a response.
    Silence,
}

impl Reaction {
    /// Returns a response without headers and body.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), String::new())
    }
}

/// A request as received.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// Method, target, version.
    pub line: String,
    /// Headers as received, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

impl ReceivedRequest {
    /// Returns the value of a header; names are in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// An HTTP server on a free port. It ends with the test's process.
#[derive(Clone, Debug)]
pub struct Receiver {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    received: Vec<ReceivedRequest>,
    reactions: VecDeque<Reaction>,
    kept: Vec<TcpStream>,
}

impl Receiver {
    /// Starts a receiver that responds with 204.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the receiver");
        let port = listener.local_addr().expect("the receiver's address").port();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { port, shared }
    }

    /// Returns `http://127.0.0.1:<port><path>`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Sets the reactions to the next requests, one each; then it responds with 204 again.
    pub fn react(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.shared.lock().reactions.extend(reactions);
    }

    /// Returns the requests received so far.
    #[must_use]
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.shared.lock().received.clone()
    }

    /// Waits until so many requests were received. Returns them.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Vec<ReceivedRequest> {
        let deadline = Instant::now() + LIMIT;
        let mut state = self.shared.lock();
        while state.received.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} requests came", state.received.len());
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.received.clone()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: TcpStream) {
        let Some(received) = read(&stream) else { return };
        let reaction = {
            let mut state = self.lock();
            state.received.push(received);
            let reaction = state.reactions.pop_front().unwrap_or(Reaction::status(204));
            if matches!(reaction, Reaction::Silence)
                && let Ok(kept) = stream.try_clone()
            {
                state.kept.push(kept);
            }
            self.changed.notify_all();
            reaction
        };
        let Reaction::Answer(status, headers, body) = reaction else { return };
        let mut head = format!("HTTP/1.1 {status} Test\r\nconnection: close\r\n");
        for (name, value) in headers {
            head = head + &name + ": " + &value + "\r\n";
        }
        if status != 204 {
            head = head + "content-length: " + &body.len().to_string() + "\r\n";
        }
        head += "\r\n";
        // The client may have disconnected.
        drop(stream.write_all((head + &body).as_bytes()));
    }
}

fn read(stream: &TcpStream) -> Option<ReceivedRequest> {
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(ReceivedRequest { line: line.trim_end().to_owned(), headers, body })
}
