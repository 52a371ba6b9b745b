//! `errand workers`: who carries runs out.

use crate::context::Context;
use crate::failure::Failure;

use super::push::server;

/// Arguments of `errand workers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Lists workers.
pub(crate) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let workers = server(context)?.workers().await?;
    // Until there is a table for people.
    let _ = args.json;
    context.printer.json(&workers)?;
    Ok(0)
}
