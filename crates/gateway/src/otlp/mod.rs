//! Traces of runs for an OpenTelemetry collector: one trace a run, made of its journal, sent over
//! OTLP/HTTP: each span once it is over, the run's own at its end.
//!
//! Deliberately absent: inputs, outputs, arguments and results of calls. Traces go to people who may
//! not see them.

mod export;
mod names;
mod spans;
mod trail;

pub(crate) use export::{Exporter, Sender};
