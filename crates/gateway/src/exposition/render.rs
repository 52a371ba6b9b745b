//! All metrics as `OpenMetrics` 1.0 text.

use std::fmt;
use std::sync::Arc;

use errand_engine::Engine;
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
    let mut registry = Registry::default();
    if let Some(figures) = figures {
        registry.register_collector(Box::new(figures.table(engine.now())));
    }
    registry.register_collector(Box::new(Arc::clone(engine.metrics())));
    if let Some(gateway) = gateway {
        registry.register_collector(Box::new(Arc::clone(gateway.metrics())));
    }
    registry.register_collector(Box::new(process::table()));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}
