//! `errand export`: writes a run to one file, a coordinator with all its descendants.

use std::path::PathBuf;

use errand_api::error_code::ErrorCode;
use errand_engine::Error;
use errand_engine::error::RunLive;
use errand_engine::export::{self, Wanted};
use errand_model::RunId;

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::remote::Remote;
use crate::target::Target;

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
    /// Of a coordinator, only the run itself, without those that it started
    #[arg(long)]
    own: bool,
}

/// Exports a run: record, journal, brief, parcel, artifacts and blobs, log.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let engine = match &place {
        RegistryOrServer::Here(engine) => engine,
        RegistryOrServer::There(remote) => {
            there(remote, &run_id, &args).await?;
            context.printer.note(&format!("run {run_id} is in {}", args.output.display()));
            return Ok(0);
        }
    };
    let wanted = Wanted { live: args.live, own: args.own };
    let written = if args.output.as_os_str() == "-" {
        export::write(engine, &run_id, wanted, std::io::stdout().lock()).await
    } else {
        export::write_file(engine, &run_id, wanted, &args.output).await
    };
    if let Err(Error::Live(RunLive { run_id })) = &written {
        return Err(Failure::new(ErrorCode::RunLive, format!("run {run_id} is not over"))
            .hint("wait for its end with `errand wait`, or export it as it is with --live"));
    }
    written?;
    context.printer.note(&format!("run {run_id} is in {}", args.output.display()));
    Ok(0)
}

/// Exports from a server. The file gets its name once it is complete.
async fn there(remote: &Remote, run_id: &RunId, args: &Args) -> Result<(), Failure> {
    let wanted = Wanted { live: args.live, own: args.own };
    if args.output.as_os_str() == "-" {
        return remote.export(run_id, wanted, &mut Target::open(None)?).await;
    }
    let mut part = args.output.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let written = match Target::open(Some(&part)) {
        Ok(mut target) => remote.export(run_id, wanted, &mut target).await,
        Err(failure) => Err(failure),
    };
    let renamed = written.and_then(|()| {
        std::fs::rename(&part, &args.output)
            .map_err(|error| Failure::io("write", &args.output, &error))
    });
    if renamed.is_err() {
        // The part file may not exist; the first error is the one to report.
        drop(std::fs::remove_file(&part));
    }
    renamed
}
