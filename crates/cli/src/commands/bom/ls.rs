//! `errand bom ls`: generations of an agent's bill of materials.

use errand_api::error_code::ErrorCode;

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent's name
    agent: String,
    /// Show at most so many, the latest
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<u32>,
    /// Print them as a JSON array
    #[arg(long)]
    json: bool,
}

/// Lists generations, the latest first.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let boms = match context.place() {
        Ok(place) => place.boms(&args.agent, args.last).await?,
        Err(failure) if failure.code() == ErrorCode::RegistryNotFound => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if args.json {
        context.printer.json(&boms)?;
        return Ok(0);
    }
    context.printer.line(&format!("{:>10}  {:<24}  DIGEST", "GENERATION", "SINCE"))?;
    for bom in &boms {
        let line = format!(
            "{:>10}  {:<24}  {}",
            bom.generation,
            bom.created_at_ms.to_string(),
            bom.digest
        );
        context.printer.line(&line)?;
    }
    Ok(0)
}
