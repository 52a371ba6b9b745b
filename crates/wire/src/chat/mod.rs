//! `OpenAI` chat completions.

mod answer;
mod request;
mod usage;

pub(crate) use answer::ChatDecoder;
pub(crate) use request::describe;
pub(crate) use usage::ChatUsage;
