//! Access: the scopes of API keys, and the form of a key.

mod key;
mod scope;

pub use key::{KeyText, MalformedKey, PUBLIC_CHARS, SECRET_CHARS};
pub use scope::{KeyScope, UnknownScope};
