//! The agent API in a Pod: a socket at the path that the agent's variables name. Each connection goes
//! on through a connection to errand.
//!
//! The socket has its path only while errand is there. Without it, clients wait for another process to
//! take errand's place, as they do on errand's own machine.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use errand_shim::LaunchOrder;
use errand_shim::link::{Purpose, RecordOpener, RecordSealer};

use super::secret::{PodSecret, SealedStream, read_record};

/// Variable with the address of the agent API.
const VARIABLE: &str = "ERRAND_API";
/// Connections at once, as the agent API has.
const CONNECTIONS: usize = 64;
/// Wait for a free connection.
const FULL_PAUSE: Duration = Duration::from_millis(20);
/// Longest record of a connection.
const RECORD_BYTES: usize = 32 * 1_024;

/// Socket of the agent API.
#[derive(Debug)]
pub(super) struct AgentApiSocket {
    shown: PathBuf,
    hidden: PathBuf,
}

impl AgentApiSocket {
    /// Serves the socket that the order's variables name; `None` if they name none.
    pub(super) fn serve(order: &LaunchOrder, secret: &Arc<PodSecret>) -> io::Result<Option<Self>> {
        let named = order.env.iter().rev().find(|(name, _)| name == VARIABLE);
        let path = named.and_then(|(_, api)| api.to_str()?.strip_prefix("unix://"));
        let Some(path) = path.map(Path::new) else { return Ok(None) };
        let socket = Self { shown: path.to_owned(), hidden: path.with_extension("off") };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        for left in [&socket.shown, &socket.hidden] {
            match fs::remove_file(left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        let listener = UnixListener::bind(&socket.shown)?;
        // The token decides who may call; the agent may run as another user than this process.
        fs::set_permissions(&socket.shown, fs::Permissions::from_mode(0o666))?;
        let secret = Arc::clone(secret);
        thread::spawn(move || accept(&listener, &secret));
        Ok(Some(socket))
    }

    /// Gives the socket its path.
    pub(super) fn show(&self) {
        // An error means that it has it.
        drop(fs::rename(&self.hidden, &self.shown));
    }

    /// Takes the path from the socket: errand is gone.
    pub(super) fn hide(&self) {
        drop(fs::rename(&self.shown, &self.hidden));
    }
}

fn accept(listener: &UnixListener, secret: &Arc<PodSecret>) {
    let open = Arc::new(AtomicUsize::new(0));
    for client in listener.incoming() {
        let Ok(client) = client else {
            thread::sleep(FULL_PAUSE);
            continue;
        };
        while open.load(Ordering::Acquire) >= CONNECTIONS {
            thread::sleep(FULL_PAUSE);
        }
        open.fetch_add(1, Ordering::AcqRel);
        let (secret, open) = (Arc::clone(secret), Arc::clone(&open));
        thread::spawn(move || {
            // The client sees the end of its connection.
            drop(pass_on(&client, &secret));
            open.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

/// Passes the bytes of a connection on, in both directions.
fn pass_on(client: &UnixStream, secret: &PodSecret) -> io::Result<()> {
    let SealedStream { stream, sealer, opener } = secret.connect(Purpose::AgentApi)?;
    let (from_client, to_errand) = (client.try_clone()?, stream.try_clone()?);
    let sending = thread::spawn(move || {
        let sent = send(from_client, &to_errand, sealer);
        if sent.is_err() {
            drop(to_errand.shutdown(Shutdown::Both));
        }
    });
    // The end of either direction ends both, but for the end of a request.
    drop(receive(stream.try_clone()?, opener, client));
    drop(client.shutdown(Shutdown::Both));
    drop(stream.shutdown(Shutdown::Both));
    drop(sending.join());
    Ok(())
}

fn send(
    mut client: UnixStream,
    mut errand: &TcpStream,
    mut sealer: RecordSealer,
) -> io::Result<()> {
    let mut buffer = vec![0; RECORD_BYTES];
    loop {
        let length = client.read(&mut buffer)?;
        // An empty record is the end.
        let record = sealer.seal(&buffer[..length]).map_err(io::Error::other)?;
        errand.write_all(&record)?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn receive(
    mut errand: TcpStream,
    mut opener: RecordOpener,
    mut client: &UnixStream,
) -> io::Result<()> {
    loop {
        let bytes = read_record(&mut errand, &mut opener)?;
        if bytes.is_empty() {
            return Ok(());
        }
        client.write_all(&bytes)?;
    }
}
