//! `errand agent brief`: prints the run's brief, if it is the one that the run names.

use errand_agent::agent_api::Client;
use errand_api::error_code::ErrorCode;
use errand_model::{Digest, digest_of_brief_key};

use super::failed;
use crate::context::Context;
use crate::failure::Failure;

pub(super) async fn run(context: &Context, mut client: Client) -> Result<(), Failure> {
    let brief = client.brief().await.map_err(failed)?;
    let key = context.variable("ERRAND_BRIEF_KEY").and_then(std::ffi::OsStr::to_str);
    if let Some(key) = key {
        check(key, &brief)?;
    }
    context.printer.bytes(&brief)?;
    if brief.ends_with(b"\n") { Ok(()) } else { context.printer.bytes(b"\n") }
}

/// Refuses a brief that is not the one of that key.
fn check(key: &str, brief: &[u8]) -> Result<(), Failure> {
    let Some(expected) = digest_of_brief_key(key) else {
        let message = format!("ERRAND_BRIEF_KEY is no key of a brief: {key:?}");
        return Err(Failure::new(ErrorCode::BriefDamaged, message)
            .hint("leave ERRAND_BRIEF_KEY as errand set it"));
    };
    let found = Digest::of(brief);
    if found == expected {
        return Ok(());
    }
    let message = format!("the brief is {found}, and {key} names another one");
    Err(Failure::new(ErrorCode::BriefDamaged, message))
}
