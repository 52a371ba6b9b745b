//! `errand import`: imports a run from another registry.

use std::path::PathBuf;

use errand_engine::export::{self, Imported};

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A file that `errand export` wrote
    file: PathBuf,
}

/// Imports a run, and prints its id. A run that exists already is left unchanged.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    // Nothing is created for a file that is invalid.
    let verified = export::verify_file(&args.file)?;
    if let Some(finding) = verified.findings.into_iter().next() {
        let (run_id, finding) = (verified.run_id, Box::new(finding));
        return Err(export::FileError::Tampered { run_id, finding }.into());
    }
    let engine = context.engine_or_create()?;
    let run_id = match export::import(&engine, &args.file).await? {
        Imported::Created(run_id) => run_id,
        Imported::Existing(run_id) => {
            context.printer.note(&format!("run {run_id} is here already, with the same journal"));
            run_id
        }
    };
    context.printer.line(run_id.as_str())?;
    Ok(0)
}
