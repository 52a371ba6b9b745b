//! Hooks: requests from outside that fire runs of registered agents.
//!
//! The signature is the authentication. The log entry and the dedupe key of a request are written
//! in the commit of the run that it fires: of any number of equal concurrent requests, one fires.

mod define;
mod error;
mod hook;
mod log;
mod receive;
mod reference;
mod template;
mod verify;

pub use define::{define, get, list, remove};
pub use error::Error;
pub use hook::{Dedupe, Events, HookDefinition, HookSecret, RegisteredHook, Signature};
pub use log::deliveries;
pub use receive::{ReceivedHookRequest, receive};
pub use reference::RequestField;
