//! Engine: carries out the model's decisions by admission, supervision, reconciliation and
//! services.
//!
//! Deliberately absent: SQL, HTTP routes, the terminal, the process's environment.

pub mod admit;
pub mod again;
pub mod agents;
pub mod ask;
pub mod audit;
pub mod bom;
pub mod brief;
pub mod code;
mod command_line;
pub mod coordinate;
pub mod cross_site;
mod deadlines;
mod engine;
pub mod environment;
mod error;
pub mod evidence;
pub mod export;
mod firing;
mod follow_up;
pub mod garbage;
pub mod hooks;
mod journal;
pub mod keys;
pub mod launch;
pub mod lease;
pub mod listener;
mod live;
pub mod log;
pub mod logs;
pub mod metrics;
mod named;
mod off_thread;
pub mod operations;
pub mod orphans;
pub mod outbox;
mod parcels;
pub mod payload;
pub mod people;
pub mod prices;
pub mod reaper;
pub mod reconcile;
pub mod record_file;
pub mod remove;
pub mod replay;
mod reserve;
mod rest;
pub mod retention;
pub mod schedules;
mod schema;
mod see_through;
pub mod service;
pub mod sessions;
pub mod supervise;
pub mod trace_context;
pub mod values;
pub mod view;
pub mod wait;
pub mod wishes;
pub mod worker;
pub mod workers;

pub use engine::{Engine, Inner, Surroundings};
pub use error::Error;
pub use live::{Live, LivePart, LiveWatch};
