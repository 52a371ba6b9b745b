//! Stream of one run as gRPC messages.

use std::pin::Pin;

use futures_util::{Stream, stream};
use tonic::Status;

use super::{proto, shape};
use crate::follow::Follow;
use crate::leave::Leave;

/// Response type of the streaming calls.
pub(super) type Items = Pin<Box<dyn Stream<Item = Result<proto::StreamItem, Status>> + Send>>;

/// Streams all frames to the end. HTTP/2 itself keeps the connection alive.
pub(super) fn items(follow: Follow, leave: Option<Leave>) -> Items {
    let state = (Box::new(follow), leave);
    Box::pin(stream::unfold(state, async |(mut follow, mut leave)| {
        let frame = follow.next().await?;
        if let (true, Some(leave)) = (follow.is_over(), &mut leave) {
            leave.stay();
        }
        Some((Ok(shape::item(&frame)), (follow, leave)))
    }))
}
