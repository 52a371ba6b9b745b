//! Reports of runs to subscribed receivers: outgoing webhooks.
//!
//! An entry is written in the commit of the event that it reports ([`documents`]), so that each
//! event to be reported has exactly one report. The loop ([`Outbox`]) delivers entries at least
//! once, each time under the same id; any number of processes may run it.
//!
//! Deliberately absent: redirects, proxies, cookies, order between reports.

mod announce;
mod client;
mod deliver;
mod entry;
mod error;
mod log;
mod report;
mod settle;
mod sign;
mod target;

pub use crate::outgoing::{
    AddressRule, Addresses, CallbackUrl, MalformedAddressRule, Names, Refused, SystemNames,
};
pub use announce::documents;
pub use deliver::{DeliverySettings, Outbox};
pub use entry::{DeliveryAttempt, EntryState, OutboxEntry, TaskAlias};
pub use error::{CallbackProblem, Error};
pub use log::{LoggedReport, deliveries, entries, forget, redeliver};
pub use sign::{Signing, SigningSecret};
pub(crate) use sign::{hmac_sha256, mac};
pub use target::{
    CallbackReceiver, TargetView, add_target, disable, enable, remove_target, rotate, targets,
};
