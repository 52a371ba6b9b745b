//! `errand build`: packs an agent's folder into a parcel.

use std::path::PathBuf;

use errand_agent::parcel;

use super::named_elsewhere;
use super::packed::{self, Packed};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent: its folder, or its agent file
    path: PathBuf,
    /// List what is packed with its size, and what is left out
    #[arg(long, conflicts_with = "json")]
    list: bool,
    /// Print digest, definition and files as JSON
    #[arg(long)]
    json: bool,
}

/// Packs an agent and prints its digest.
pub(crate) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    context.check_own()?;
    let plan = match parcel::plan(&args.path) {
        Ok(plan) => plan,
        Err(error) => {
            return Err(named_elsewhere::all_problems(context, &args.path, error.into()).await);
        }
    };
    named_elsewhere::check_plan(context, &plan).await?;
    let registry = context.registry_or_place();
    registry.create()?;
    let packed = Packed::of(&plan);
    let files = plan.files().to_vec();
    let parcel = plan.publish(&registry.parcels())?;
    if args.json {
        context.printer.json(&serde_json::json!({
            "schema": 1,
            "digest": parcel.digest,
            "path": parcel.path,
            "agent": parcel.agent,
            "files": parcel.files,
            "left_out": packed.left_out,
        }))?;
    } else if args.list {
        for file in &files {
            context.printer.line(&packed::line(file))?;
        }
        context.printer.note(&packed.told());
    } else {
        context.printer.note(&packed.told());
        context.printer.line(parcel.digest.as_str())?;
    }
    Ok(0)
}
