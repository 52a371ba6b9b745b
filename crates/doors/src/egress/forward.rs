//! Requests in clear, which the proxy sends to their hosts.

use std::io;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;

use super::AskedConnection;
use super::counted::{CountedStream, Counts};
use super::dial::Dialled;
use crate::headers;
use crate::respond::{DoorBody, response};

/// Sends a request to its host on a connection of its own, and returns the answer.
pub(super) async fn answer(
    asked: AskedConnection,
    dialled: Dialled,
    place: OwnedSemaphorePermit,
    mut request: Request<Incoming>,
) -> Response<DoorBody> {
    let (Dialled { stream, address }, counts) = (dialled, Counts::default());
    let stream = CountedStream { stream, counts: counts.clone() };
    let (mut sender, connection) = match http1::handshake(TokioIo::new(stream)).await {
        Ok(both) => both,
        Err(error) => {
            asked.ended(Some(address), None, &counts).await;
            return unanswered(&error);
        }
    };
    if let Err(problem) = in_origin_form(&mut request) {
        asked.ended(Some(address), None, &counts).await;
        return response(400, format!("{problem}\n"));
    }
    let door = std::sync::Arc::clone(&asked.door);
    door.spawn(async move {
        tokio::select! {
            // Its end is that of the answer, which the agent sees.
            _ended = connection => {}
            () = asked.door.drained() => {}
        }
        drop(place);
        asked.ended(Some(address), None, &counts).await;
    });
    match sender.send_request(request).await {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            headers::remove_of_connection(&mut parts.headers);
            Response::from_parts(parts, body.map_err(io::Error::other).boxed())
        }
        Err(error) => unanswered(&error),
    }
}

/// Turns a request to a proxy into one to its host, whose name is that of the URL.
fn in_origin_form<B>(request: &mut Request<B>) -> Result<(), &'static str> {
    let uri = request.uri();
    let malformed = "the URL cannot be passed on";
    let host = uri.authority().map(|it| HeaderValue::from_str(it.as_str()));
    let host = host.and_then(Result::ok).ok_or(malformed)?;
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let path: Uri = path.parse().map_err(|_| malformed)?;
    *request.uri_mut() = path;
    headers::remove_of_connection(request.headers_mut());
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(())
}

fn unanswered(error: &hyper::Error) -> Response<DoorBody> {
    response(502, format!("the host did not answer the request: {error}\n"))
}
