//! Responses of a door.

use std::convert::Infallible;
use std::io;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use hyper::body::Bytes;

/// Body of a door's response.
pub(crate) type DoorBody = BoxBody<Bytes, io::Error>;

/// Returns a body that is there as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> DoorBody {
    let never = |error: Infallible| match error {};
    Full::new(bytes.into()).map_err(never).boxed()
}

/// Returns an empty response that says nothing: for a client that is to repeat its call.
pub(crate) fn response(status: u16, body: impl Into<Bytes>) -> Response<DoorBody> {
    let mut response = Response::new(whole(body));
    if let Ok(status) = status.try_into() {
        *response.status_mut() = status;
    }
    response
}
