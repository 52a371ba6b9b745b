//! Responses of a door.

use std::convert::Infallible;
use std::io;

use futures_util::{StreamExt as _, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};

/// Body of a door's response.
pub(crate) type DoorBody = BoxBody<Bytes, io::Error>;

/// Returns a body that is there as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> DoorBody {
    let never = |error: Infallible| match error {};
    Full::new(bytes.into()).map_err(never).boxed()
}

/// Returns a body whose pieces are sent one after the other.
pub(crate) fn in_pieces(pieces: Vec<Bytes>) -> DoorBody {
    let frames = stream::iter(pieces).then(|piece| async {
        // The connection sends what it has before it waits.
        tokio::task::yield_now().await;
        Ok(Frame::data(piece))
    });
    BoxBody::new(StreamBody::new(frames))
}

/// Returns an empty response that says nothing: for a client that is to repeat its call.
pub(crate) fn response(status: u16, body: impl Into<Bytes>) -> Response<DoorBody> {
    let mut response = Response::new(whole(body));
    if let Ok(status) = status.try_into() {
        *response.status_mut() = status;
    }
    response
}
