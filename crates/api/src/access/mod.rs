//! Who may do what: the scopes of API keys, and how a key is written.

mod key;
mod scope;

pub use key::{KeyText, MalformedKey, PUBLIC_CHARS, SECRET_CHARS};
pub use scope::{Scope, UnknownScope};
