//! The server: HTTP, server-sent events, gRPC and webhooks on top of the engine.
//!
//! Deliberately absent: decisions about runs (the model), their execution (the engine), SQL.

mod again;
mod auth;
mod callback_url;
mod config;
mod connection;
mod exposition;
mod extract;
mod feed;
mod folders;
mod follow;
mod gateway;
mod grpc;
mod hub;
mod intake;
mod leave;
mod lock;
mod loops;
mod metrics;
mod middleware;
mod operations;
mod order;
mod otlp;
mod over;
mod parcels;
mod peer;
mod ranges;
mod rate;
mod record;
mod refusal;
mod router;
mod routes;
mod schema_check;
mod server;
mod sse;
mod submit;
mod tls;
mod versions;

pub use config::Config;
pub use exposition::serve_metrics;
pub use gateway::Gateway;
pub use intake::{IntakeAnswer, IntakeOrder, TaskIntake};
pub use lock::{ListenOpen, Lock};
pub use peer::Peer;
pub use router::router;
pub use server::{Bound, ServerBindError, ServerStartError};
pub use tls::{TlsError, check_tls};
