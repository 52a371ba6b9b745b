//! The outside contract of errand, as plain data: what people write, programs read and scripts
//! match on.
//!
//! Deliberately absent: files, sockets, the clock. Reading and writing is for those who call.

pub mod access;
pub mod agent_file;
pub mod agent_protocol;
pub mod amount;
pub mod audit;
pub mod bom;
pub mod bom_page;
pub mod brief;
pub mod budget;
pub mod catalog;
pub mod config;
pub mod dead_letter;
pub mod gateway;
pub mod graph;
pub mod http_status;
pub mod message;
pub mod price_table;
pub mod question;
pub mod record;
pub mod schema;
pub mod session;
pub mod story;
pub mod trace;
pub mod usage;
pub mod verification;
pub mod worker;

pub use errand_model::{error_code, exit_code};
