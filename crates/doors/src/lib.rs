//! Doors of agents to their model providers and tools.
//!
//! [`ModelDoors`] opens one door for each attempt whose agent has providers or tool servers: a
//! loopback address at which unmodified SDKs find them, with the token of the attempt as their key. A request is
//! recorded before its provider is called, its bytes are passed on unchanged in both directions, and
//! the end of an answer is recorded before its last bytes are handed on. An agent in a sandbox with
//! `network: gateway` has a proxy there, for the hosts that its policies allow.
//!
//! Deliberately absent: the journal, budgets, prices (the backend of the attempt has them), and any
//! translation between the formats of providers.

mod answer;
mod begin;
mod bounds;
mod broken_off;
mod burst;
mod call;
mod context;
mod decided;
mod door;
mod egress;
mod handler;
mod headers;
mod keep_alive;
mod ledger;
mod listening;
mod permit;
mod provider;
mod pump;
mod recorder;
mod refuse;
mod respond;
mod route;
mod sampled;
mod settings;
mod token;
mod tools;
mod transcript;
mod tries;
mod usage;
mod variables;

pub use door::ModelDoors;
pub use settings::{DoorSettings, ProxySettings};
