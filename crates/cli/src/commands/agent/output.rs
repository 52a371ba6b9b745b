//! `errand agent output`: sets the output of the run.

use errand_agent::agent_api::Client;
use errand_api::agent_protocol::{SetOutput, ValueEncoding};

use super::{failed, submit};
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The output: a JSON document, or else text; @FILE, or - for stdin
    #[arg(allow_hyphen_values = true)]
    output: String,
    /// Take it as text, also when it is a JSON document
    #[arg(long)]
    text: bool,
}

pub(super) async fn run(mut client: Client, args: Args) -> Result<(), Failure> {
    let bytes = submit::payload(&args.output)?;
    let document = if args.text { None } else { serde_json::from_slice(&bytes).ok() };
    let output = match document {
        Some(output) => SetOutput { output, encoding: ValueEncoding::Json },
        None => {
            let (text, encoding) = ValueEncoding::of_bytes(bytes);
            SetOutput { output: text.into(), encoding }
        }
    };
    client.set_output(&output).await.map_err(failed)
}
