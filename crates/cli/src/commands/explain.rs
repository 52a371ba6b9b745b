//! `errand explain`: the page of an error code.

use errand_api::agent_file::closest;
use errand_api::error_code::ErrorCode;

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, as in `error[code]`; without one: all codes
    code: Option<String>,
}

/// Prints the page of an error code.
pub(crate) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let Some(text) = &args.code else {
        for code in ErrorCode::ALL {
            context.printer.line(&format!("{:<26} {}", code.as_str(), code.title()))?;
        }
        return Ok(0);
    };
    let code: ErrorCode = text.to_lowercase().parse().map_err(|_| {
        let failure = Failure::new(ErrorCode::Usage, format!("there is no error code {text:?}"));
        match closest(text, ErrorCode::ALL.iter().map(|code| code.as_str())) {
            Some(meant) => failure.hint(format!("did you mean `errand explain {meant}`?")),
            None => failure.hint("`errand explain` lists all codes"),
        }
    })?;
    context.printer.bytes(code.page().as_bytes())?;
    Ok(0)
}
