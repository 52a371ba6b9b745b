//! `errand export`: a run in one file.

use std::path::PathBuf;

use errand_engine::export;

use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run
    run: String,
    /// The file to write, a tar archive; - for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Exports a run: record, journal, parcel, artifacts and blobs, log.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let run_id = context.resolve(&engine, &args.run).await?;
    if args.output.as_os_str() == "-" {
        export::write(&engine, &run_id, std::io::stdout().lock()).await?;
        return Ok(0);
    }
    export::write_file(&engine, &run_id, &args.output).await?;
    context.printer.note(&format!("run {run_id} is in {}", args.output.display()));
    Ok(0)
}
