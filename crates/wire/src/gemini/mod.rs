//! Gemini: `generateContent` and `streamGenerateContent`.

mod answer;
mod request;

pub(crate) use answer::GeminiDecoder;
pub(crate) use request::describe;
