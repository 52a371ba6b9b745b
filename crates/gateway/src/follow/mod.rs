//! Streams of events of runs, for both SSE and gRPC.

mod many;
mod members;
mod one;
mod resume;

pub(crate) use many::FollowMany;
pub(crate) use members::Which;
pub(crate) use one::{Follow, RunSelection, has, types};
pub(crate) use resume::EventPosition;
