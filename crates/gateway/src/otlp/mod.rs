//! Traces of runs for an OpenTelemetry collector: one trace a run, made of its journal once it is
//! over, sent over OTLP/HTTP.
//!
//! Deliberately absent: inputs, outputs, arguments and results of calls. Traces go to people who may
//! not see them.

mod export;
mod ids;
mod names;
mod spans;
mod trail;

pub(crate) use export::{Exporter, Sender};
