//! `errand export`: a run in one file.

use std::path::PathBuf;

use errand_api::error_code::ErrorCode;
use errand_engine::Error;
use errand_engine::export::{self, Wanted};

use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand export review -o review.tar    write the run review
  errand verify review.tar              check all of it
  errand import review.tar              on another machine: take it in")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// The file to write, a tar archive; - for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Also a run that is not over, as it is now: to look at, not to import
    #[arg(long)]
    live: bool,
}

/// Exports a run: record, journal, brief, parcel, artifacts and blobs, log.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let run_id = context.resolve(&engine, &args.run).await?;
    let wanted = if args.live { Wanted::Any } else { Wanted::Over };
    let written = if args.output.as_os_str() == "-" {
        export::write(&engine, &run_id, wanted, std::io::stdout().lock()).await
    } else {
        export::write_file(&engine, &run_id, wanted, &args.output).await
    };
    if let Err(Error::Live { run_id }) = &written {
        return Err(Failure::new(ErrorCode::RunLive, format!("run {run_id} is not over"))
            .hint("wait for its end with `errand wait`, or export it as it is with --live"));
    }
    written?;
    context.printer.note(&format!("run {run_id} is in {}", args.output.display()));
    Ok(0)
}
