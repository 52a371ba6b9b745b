//! `errand artifacts`: the named output files of a run.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use errand_api::error_code::ErrorCode;
use errand_engine::{record_file, wait};

use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand artifacts`.
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
    let engine = context.engine()?;
    let run_id = context.resolve(&engine, &args.run).await?;
    let record = record_file::record(&engine, &wait::load(&engine, &run_id).await?);
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
    let blobs = engine.blobs();
    let (mut content, _) = blobs.open(&artifact.digest).map_err(errand_engine::Error::from)?;
    match &args.output {
        None => {
            let mut stdout = io::stdout().lock();
            io::copy(&mut content, &mut stdout)
                .and_then(|_| stdout.flush())
                .map_err(|error| Failure::stdout(&error))?;
        }
        Some(path) => {
            let unwritten = |error: io::Error| Failure::io("write", path, &error);
            let mut file = File::create(path).map_err(unwritten)?;
            io::copy(&mut content, &mut file).map_err(unwritten)?;
        }
    }
    Ok(0)
}
