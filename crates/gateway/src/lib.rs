//! The server: HTTP, server-sent events, gRPC and webhooks on top of the engine.
//!
//! Deliberately absent: decisions about runs (the model), their execution (the engine), SQL.

mod again;
mod auth;
mod config;
mod door;
mod extract;
mod feed;
mod folders;
mod follow;
mod gateway;
mod grpc;
mod hub;
mod leave;
mod loops;
mod metrics;
mod otlp;
mod over;
mod parcels;
mod ranges;
mod record;
mod refusal;
mod router;
mod routes;
mod server;
mod sse;
mod submit;
mod tls;

pub use config::Config;
pub use door::{ListenOpen, Lock};
pub use gateway::Gateway;
pub use metrics::serve_metrics;
pub use router::router;
pub use server::{BindError, Bound, StartError};
pub use tls::{TlsError, check_tls};
