//! The server side: HTTP, server-sent events, gRPC and webhooks on top of the engine.
//!
//! Deliberately absent: decisions about runs (the model), carrying them out (the engine), SQL.
