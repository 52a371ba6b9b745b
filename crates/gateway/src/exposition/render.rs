//! All metrics as `OpenMetrics` 1.0 text.

use std::fmt;

use errand_engine::Engine;
use errand_engine::metrics::MetricTable;
use prometheus_client::registry::Registry;

use super::{RegistryFigures, process};
use crate::Gateway;

/// Renders the text. `gateway`: `None` in a process without one; `figures`: `None` if the registry
/// did not answer.
pub(crate) fn render(
    engine: &Engine,
    gateway: Option<&Gateway>,
    figures: Option<&RegistryFigures>,
) -> Result<String, fmt::Error> {
    let mut table = MetricTable::default();
    if let Some(figures) = figures {
        figures.describe(&mut table, engine.now());
    }
    engine.metrics().describe(&mut table);
    if let Some(gateway) = gateway {
        gateway.metrics().describe(&mut table);
    }
    process::describe(&mut table);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(table));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}
