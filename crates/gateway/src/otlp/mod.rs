//! Traces of runs for an OpenTelemetry collector: one trace per run, built from its journal and
//! sent over OTLP/HTTP; each span once it is over, the run's own at its end.
//!
//! Deliberately absent: inputs, outputs, arguments and results of calls. Readers of traces may not
//! be allowed to see them.

mod export;
mod names;
mod spans;
mod trail;

pub(crate) use export::{Exporter, Sender};
