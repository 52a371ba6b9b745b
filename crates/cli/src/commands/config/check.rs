//! `errand config check`: whether a server would start with this.

use crate::config::{Configuration, ServerFlags};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand config check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServerFlags,
}

/// Checks the configuration.
pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let configuration = Configuration::load(context, &args.flags)?;
    configuration.settings()?;
    let what = configuration.file.as_deref().map_or_else(
        || "there is no file; flags and environment".to_owned(),
        |file| file.display().to_string(),
    );
    context.printer.line(&format!("{what}: the configuration is valid"))?;
    Ok(0)
}
