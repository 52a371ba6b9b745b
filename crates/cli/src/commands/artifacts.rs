//! `errand artifacts`: the named output files of a run.

use std::io::{self, Write as _};
use std::path::PathBuf;

use errand_api::error_code::ErrorCode;

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::target::Target;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand artifacts review                         which there are
  errand artifacts review review.md               print one
  errand artifacts review review.md -o review.md  write it to a file")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// The artifact to print; without it: list all
    name: Option<String>,
    /// Write it to a file
    #[arg(short, long, value_name = "FILE", requires = "name")]
    output: Option<PathBuf>,
    /// Print the list as JSON
    #[arg(long, conflicts_with = "name")]
    json: bool,
}

/// Lists artifacts, or prints one.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let record = place.record(&run_id).await?;
    let Some(name) = &args.name else {
        if args.json {
            context.printer.json(&record.artifacts)?;
        } else {
            for artifact in &record.artifacts {
                let line = format!("{:>12}  {}", artifact.size_bytes, artifact.name);
                context.printer.line(&line)?;
            }
        }
        return Ok(0);
    };
    let artifact = record.artifacts.iter().find(|found| found.name == *name).ok_or_else(|| {
        let message = format!("run {run_id} has no artifact {name:?}");
        Failure::new(ErrorCode::ArtifactNotFound, message)
            .hint(format!("`errand artifacts {run_id}` lists them"))
    })?;
    match &place {
        RegistryOrServer::Here(engine) => {
            let blobs = engine.blobs();
            let (mut content, _) =
                blobs.open(&artifact.digest).map_err(errand_engine::Error::from)?;
            let mut target = Target::open(args.output.as_deref())?;
            io::copy(&mut content, &mut target).map_err(|error| target.unwritten(&error))?;
            target.flush().map_err(|error| target.unwritten(&error))?;
        }
        RegistryOrServer::There(remote) => {
            let mut target = Target::open(args.output.as_deref())?;
            remote.artifact(&run_id, artifact, &mut target).await?;
        }
    }
    Ok(0)
}
