//! Requests to addresses that others name: which addresses are allowed, and a client that connects to no
//! others.

mod address;
mod http;
mod url;

pub use address::{AddressRule, Addresses, MalformedAddressRule};
pub use http::{Names, SystemNames};
pub(crate) use http::{chain, http_client};
pub use url::{CallbackUrl, Refused};
