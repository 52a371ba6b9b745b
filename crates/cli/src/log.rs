//! Log of a server or a worker on stderr, for people or for programs.

use errand_api::config::{LogFormat, LogSettings};
use tracing_subscriber::EnvFilter;

/// Starts logging. Libraries log warnings only.
pub(crate) fn begin(log: &LogSettings) {
    let level = &log.level;
    let filter = EnvFilter::try_new(format!(
        "warn,errand={level},errand_gateway={level},errand_engine={level},errand_store={level},errand_agent={level}"
    ));
    let filter = if level == "off" { EnvFilter::try_new("off") } else { filter };
    // The table of settings has only valid levels.
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // Fails if logging was started already, which is harmless.
    drop(match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    });
}
