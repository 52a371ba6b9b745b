//! `errand inspect-run`: everything that is known of a run.

use errand_api::record::manifest;
use errand_engine::{reconcile, record_file, sessions, wait};

use super::usage;
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand inspect-run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run
    run: String,
    /// The form
    #[arg(short, long, value_enum, default_value_t = Form::Json)]
    output: Form,
}

/// Forms of a record.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// The record, one JSON document
    Json,
    /// A manifest in YAML: kind Run, with metadata, spec and status
    Yaml,
}

/// Prints the record of a run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let run_id = context.resolve(&engine, &args.run).await?;
    let stored = reconcile::reconcile(&engine, wait::load(&engine, &run_id).await?).await?;
    let mut record = record_file::record(&engine, &stored);
    record.waits_behind = sessions::waits_behind(&engine, &stored).await?;
    record.usage.by_step = usage::by_step(&engine, &stored.run).await?;
    match args.output {
        Form::Json => context.printer.json(&record)?,
        Form::Yaml => {
            let value = serde_json::to_value(manifest(&stored.run, stored.head, &record))
                .map_err(|error| Failure::internal("cannot write the manifest", &error))?;
            context.printer.bytes(crate::yaml::document(&value).as_bytes())?;
        }
    }
    Ok(0)
}
