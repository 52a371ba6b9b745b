//! `errand build`: from an agent's folder to its parcel.

use std::path::PathBuf;

use errand_agent::parcel;

use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent: its folder, or its agent file
    path: PathBuf,
    /// Print digest, definition and files as JSON
    #[arg(long)]
    json: bool,
}

/// Packs an agent and prints its digest.
pub(crate) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    context.check_own()?;
    let plan = parcel::plan(&args.path)?;
    let registry = context.registry_or_place();
    registry.create()?;
    let parcel = plan.publish(&registry.parcels())?;
    if args.json {
        context.printer.json(&serde_json::json!({
            "schema": 1,
            "digest": parcel.digest,
            "path": parcel.path,
            "agent": parcel.agent,
            "files": parcel.files,
        }))?;
    } else {
        context.printer.line(parcel.digest.as_str())?;
    }
    Ok(0)
}
