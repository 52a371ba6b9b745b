//! Tunnels: the bytes after a `CONNECT`.

use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;

use super::AskedConnection;
use super::counted::{CountedStream, Counts};
use super::dial::Dialled;
use crate::respond::{DoorBody, response};

/// Answers a `CONNECT`, and copies bytes both ways until both ends are done.
pub(super) fn answer(
    asked: AskedConnection,
    dialled: Dialled,
    place: OwnedSemaphorePermit,
    request: Request<Incoming>,
) -> Response<DoorBody> {
    let door = std::sync::Arc::clone(&asked.door);
    door.spawn(async move {
        let (Dialled { stream, address }, counts) = (dialled, Counts::default());
        // An agent that hung up after its request has no tunnel.
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let mut host = CountedStream { stream, counts: counts.clone() };
            let mut agent = TokioIo::new(upgraded);
            tokio::select! {
                // An end that is gone ends the tunnel.
                _ended = tokio::io::copy_bidirectional(&mut agent, &mut host) => {}
                () = asked.door.drained() => {}
            }
        }
        drop(place);
        asked.ended(Some(address), None, &counts).await;
    });
    response(200, "")
}
