//! All metrics as text for Prometheus: those of requests, of the engine, of the process and of the
//! registry.

mod alone;
mod figures;
mod gauge;
mod process;
mod render;

pub use alone::serve_metrics;

pub(crate) use figures::RegistryFigures;
pub(crate) use render::render;
