//! `errand inspect-run`: the record of a run.

use errand_engine::view;

use crate::context::Context;
use crate::failure::Failure;
use crate::place::Place;

/// Arguments of `errand inspect-run`.
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
    let value = match (&place, args.output) {
        (Place::Here(engine), Form::Json) => {
            context.printer.json(&view::record(engine, &run_id).await?)?;
            return Ok(0);
        }
        (Place::There(remote), Form::Json) => {
            context.printer.json(&remote.inspect(&run_id).await?)?;
            return Ok(0);
        }
        (Place::Here(engine), Form::Yaml) => {
            serde_json::to_value(view::manifest(engine, &run_id).await?)
                .map_err(|error| Failure::internal("cannot write the manifest", &error))?
        }
        (Place::There(remote), Form::Yaml) => remote.manifest(&run_id).await?,
    };
    context.printer.bytes(crate::yaml::document(&value).as_bytes())?;
    Ok(0)
}
