//! `errand output`: the output of a run, whole and byte for byte.

use std::io::{self, Write as _};
use std::path::PathBuf;

use errand_api::error_code::ErrorCode;
use errand_engine::Error as EngineError;
use errand_engine::values::{self, Bytes, BytesPlace};
use errand_engine::{Engine, wait};
use errand_model::{Digest, Encoding, RunId};

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::remote::ValueSelection;
use crate::target::Target;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand output review                        what it produced, however long
  errand output review --input                what it was given
  errand output review -o report.json         into a file
  errand output review --blob sha256:7d86…    what a `$blob` in its events stands for")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Print the run's input instead
    #[arg(long, conflicts_with = "blob")]
    input: bool,
    /// Print the blob of this digest, from a `$blob` of its record or events
    #[arg(long, value_name = "DIGEST")]
    blob: Option<String>,
    /// Write it to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Prints a value of a run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let wanted = match (&args.blob, args.input) {
        (Some(text), _) => ValueSelection::Blob(text.parse().map_err(|_| {
            Failure::new(ErrorCode::Usage, format!("{text:?} is no digest"))
                .hint("write sha256: and 64 hex digits, as the record has them")
        })?),
        (None, true) => ValueSelection::Input,
        (None, false) => ValueSelection::Output,
    };
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let is_there = match &place {
        RegistryOrServer::Here(engine) => match find(engine, &run_id, &wanted).await? {
            Some(bytes) => {
                let mut target = Target::open(args.output.as_deref())?;
                write(&bytes, &mut target).map_err(|error| target.unwritten(&error))?;
                true
            }
            None => false,
        },
        RegistryOrServer::There(remote) => {
            let target = || Target::open(args.output.as_deref());
            remote.write_value(&run_id, &wanted, target).await?
        }
    };
    if !is_there {
        let record = place.record(&run_id).await?;
        let what = if args.input { "was given nothing" } else { "has no output" };
        context.printer.note(&format!("run {run_id} {what} ({})", record.status));
    }
    Ok(0)
}

async fn find(
    engine: &Engine,
    run_id: &RunId,
    wanted: &ValueSelection,
) -> Result<Option<Bytes>, Failure> {
    let stored = wait::load(engine, run_id).await?;
    let kept = match wanted {
        ValueSelection::Output => stored.run.output.as_ref(),
        ValueSelection::Input => stored.run.spec.input.as_ref(),
        ValueSelection::Blob(digest) => {
            let Some(encoding) = values::named(engine, run_id, digest).await? else {
                let message = format!("the journal of run {run_id} names no blob {digest}");
                return Err(Failure::new(ErrorCode::BlobNotFound, message));
            };
            return Ok(Some(Bytes::blob(engine, digest, encoding)?));
        }
    };
    Ok(kept.map(|kept| Bytes::of(engine, kept)).transpose()?)
}

/// Returns the bytes of a blob that the journal of a run names.
pub(super) async fn blob_bytes(
    place: &RegistryOrServer,
    run_id: &RunId,
    digest: &Digest,
) -> Result<Vec<u8>, Failure> {
    match place {
        RegistryOrServer::Here(engine) => {
            Ok(engine.blobs().get(digest).map_err(EngineError::from)?)
        }
        RegistryOrServer::There(remote) => remote.blob(run_id, digest).await,
    }
}

/// Writes the bytes; a JSON document gets a final newline.
fn write(bytes: &Bytes, target: &mut Target) -> io::Result<()> {
    match &bytes.place {
        BytesPlace::Memory(bytes) => target.write_all(bytes)?,
        BytesPlace::File(file, _) => {
            let mut file = file;
            io::copy(&mut file, target)?;
        }
    }
    let is_short = matches!(bytes.place, BytesPlace::Memory(_));
    if is_short && bytes.encoding == Encoding::Json {
        target.write_all(b"\n")?;
    }
    target.flush()
}
