//! The way from an agent without a network to its door: a loopback address in its own network
//! namespace, whose listener the agent's process hands to its supervisor before its program starts.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener as StdListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

/// Time after which a listener that could not accept tries again: no descriptor was free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Socket on which the supervisor gets the listener.
#[derive(Debug)]
pub(super) struct RelaySocket {
    door: PathBuf,
    from: OwnedFd,
}

/// Relay that works until it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    _task: JoinSet<()>,
}

impl RelaySocket {
    /// Returns a socket, and the end of it that the agent's process writes to.
    pub(super) fn new(door: PathBuf) -> io::Result<(Self, OwnedFd)> {
        let (from, to) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self { door, from }, to))
    }

    /// Begins to relay with the listener that was received.
    pub(super) fn received(self) -> io::Result<Relay> {
        let listener = StdListener::from(self.listener()?);
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut task = JoinSet::new();
        task.spawn(relay(listener, self.door));
        Ok(Relay { _task: task })
    }

    fn listener(&self) -> io::Result<OwnedFd> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        rustix::net::recvmsg(&self.from, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags)?;
        let sent = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sent) => sent.next(),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        });
        sent.ok_or_else(|| io::Error::other("the agent's process sent no listener"))
    }
}

/// Connects each connection of the agent with its door.
async fn relay(listener: TcpListener, door: PathBuf) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((agent, _)) => drop(connections.spawn(connect(agent, door.clone()))),
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Copies bytes both ways until both ends are done. An end that is gone ends the connection.
async fn connect(mut agent: TcpStream, door: impl AsRef<Path>) {
    let Ok(mut door) = UnixStream::connect(door).await else { return };
    let _ended = agent.set_nodelay(true);
    let _copied = tokio::io::copy_bidirectional(&mut agent, &mut door).await;
}
