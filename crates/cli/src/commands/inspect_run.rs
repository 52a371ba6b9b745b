//! `errand inspect-run`: the record of a run.

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run
    run: String,
    /// The form
    #[arg(short, long, value_enum, default_value_t = Form::Json)]
    output: Form,
}

/// Output formats of a record.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// The record, one JSON document
    Json,
    /// A manifest in YAML: kind Run, with metadata, spec and status
    Yaml,
}

/// Prints the record of a run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    match args.output {
        Form::Json => context.printer.json(&place.inspect(&run_id).await?)?,
        Form::Yaml => {
            let manifest = place.manifest(&run_id).await?;
            context.printer.bytes(crate::yaml::document(&manifest).as_bytes())?;
        }
    }
    Ok(0)
}
