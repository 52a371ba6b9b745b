//! Anthropic messages.

mod answer;
mod request;
mod usage;

pub(crate) use answer::MessagesDecoder;
pub(crate) use request::describe;
