//! Relay in front of a dispatcher that loses the first answer to each task, after the dispatcher has it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Beginning of a request that sends a task.
const SENDS: &[u8] = b"POST /tasks HTTP";

/// Relay on a port of its own. Its threads end with the test's process.
pub(crate) struct TwiceRelay {
    address: SocketAddr,
    /// Requests whose answer was lost.
    lost: Arc<Mutex<BTreeSet<Vec<u8>>>>,
    repeated: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

impl TwiceRelay {
    /// Starts a relay to a server that may come later.
    pub(crate) fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (lost, repeated) = (Arc::default(), Arc::default());
        let known = (Arc::clone(&lost), Arc::clone(&repeated));
        let server = server.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is not there refuses, and so does this.
                let Ok(upstream) = TcpStream::connect(&server) else { continue };
                let (server, seen) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                let known = known.clone();
                thread::spawn(move || forward(client, upstream, &known));
                thread::spawn(move || copy(server, seen));
            }
        });
        Self { address, lost, repeated }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of tasks that were sent again after their answer was lost.
    pub(crate) fn repeated(&self) -> usize {
        assert!(self.repeated.lock().unwrap().is_subset(&self.lost.lock().unwrap()));
        self.repeated.lock().unwrap().len()
    }
}

/// Requests, by whether their answer was lost and whether they came again.
type Known = (Arc<Mutex<BTreeSet<Vec<u8>>>>, Arc<Mutex<BTreeSet<Vec<u8>>>>);

/// Hands requests on, and cuts the connection behind a task that comes for the first time.
fn forward(mut client: TcpStream, mut upstream: TcpStream, (lost, repeated): &Known) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let request = &buffer[..read];
        if request.starts_with(SENDS) {
            let task = task_id(request);
            if lost.lock().unwrap().insert(task.clone()) {
                drop(client.shutdown(Shutdown::Both));
                // The server gets the whole request, and nobody its answer.
                drop(upstream.write_all(request));
                drop(upstream.read(&mut buffer));
                return;
            }
            repeated.lock().unwrap().insert(task);
        }
        if upstream.write_all(request).is_err() {
            break;
        }
    }
    drop(upstream.shutdown(Shutdown::Write));
}

/// Returns the part of a request that names its task.
fn task_id(request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let at = text.find("\"task_id\":\"").map_or(0, |at| at + 11);
    text.as_bytes()[at..].split(|&byte| byte == b'"').next().unwrap_or_default().to_vec()
}

/// Hands answers on.
fn copy(mut server: TcpStream, mut client: TcpStream) {
    // A cut connection ends the copy.
    drop(std::io::copy(&mut server, &mut client));
    drop(client.shutdown(Shutdown::Both));
}
