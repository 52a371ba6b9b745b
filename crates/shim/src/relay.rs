//! Relay from a loopback port of the container to the socket of the model gateway.
//!
//! SDKs reach their providers over TCP, and a container may have no network: the socket is a file of
//! a folder that it shares with errand.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use errand_shim::{LaunchOrder, model_door};

/// Connections at once: each has two threads. Agents use a few.
const CONNECTIONS: usize = 256;
/// Bytes that are copied at once.
const COPY_BYTES: usize = 16 * 1_024;
/// Time for which a connection waits for the gateway, and the pause between two tries.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the relay, if the command has a model gateway. It ends with this process.
///
/// # Errors
///
/// If the port is taken.
pub(super) fn start(order: &LaunchOrder) -> io::Result<()> {
    let named = order.env.iter().rev().find(|(name, _)| name == model_door::SOCKET_VARIABLE);
    let Some((_, socket)) = named else { return Ok(()) };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, model_door::PORT))?;
    let socket = PathBuf::from(socket);
    let connections = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if connections.load(Ordering::Acquire) >= CONNECTIONS {
                // The client may connect again.
                continue;
            }
            connections.fetch_add(1, Ordering::AcqRel);
            let (socket, ended) = (socket.clone(), Arc::clone(&connections));
            thread::spawn(move || {
                // A broken connection is the end of it, for both sides.
                drop(connect(&socket).and_then(|gateway| relay(client, gateway)));
                ended.fetch_sub(1, Ordering::AcqRel);
            });
        }
    });
    Ok(())
}

/// Connects to the gateway. No process listens between two that watch the
/// container.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    let until = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(socket) {
            Err(_) if Instant::now() < until => thread::sleep(PAUSE),
            connected => return connected,
        }
    }
}

/// Copies both directions to their ends.
fn relay(client: TcpStream, gateway: UnixStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from_client, mut to_gateway) = (client.try_clone()?, gateway.try_clone()?);
    let upwards = thread::spawn(move || {
        copy(&mut from_client, &mut to_gateway);
        drop(to_gateway.shutdown(Shutdown::Write));
    });
    let (mut from_gateway, mut to_client) = (gateway, client);
    copy(&mut from_gateway, &mut to_client);
    // Nothing is answered any more.
    drop(to_client.shutdown(Shutdown::Both));
    drop(upwards.join());
    Ok(())
}

/// Copies until either side ends.
fn copy(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = [0; COPY_BYTES];
    while let Ok(count) = from.read(&mut buffer)
        && count > 0
        && to.write_all(&buffer[..count]).is_ok()
    {}
}
