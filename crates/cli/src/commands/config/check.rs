//! `errand config check`: checks that a server would start with the configuration.

use errand_api::error_code::ErrorCode;

use crate::config::{Configuration, ServerFlags};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServerFlags,
}

/// Checks the configuration.
pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let configuration = Configuration::load(context, &args.flags)?;
    let settings = configuration.settings()?;
    if let Some(files) = &settings.tls {
        errand_gateway::check_tls(files).map_err(|error| {
            Failure::new(ErrorCode::TlsInvalid, "the server cannot use its TLS files")
                .because(&error)
                .hint("mend the files, or the paths: `errand config show` says where they are from")
        })?;
    }
    let what = configuration.file.as_deref().map_or_else(
        || "there is no file; flags and environment".to_owned(),
        |file| file.display().to_string(),
    );
    context.printer.line(&format!("{what}: the configuration is valid"))?;
    Ok(0)
}
