//! `OpenAI` responses.

mod answer;
mod request;

pub(crate) use answer::ResponsesDecoder;
pub(crate) use request::describe;
