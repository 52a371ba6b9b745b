//! Arguments about the brief of a run.

use errand_api::brief::BRIEF_LIMIT_BYTES;
use errand_api::catalog::is_definition_name;
use errand_api::error_code::ErrorCode;
use errand_engine::brief::BriefParts;

use super::submit;
use crate::failure::Failure;

// Parts of the brief that the caller gives.
#[derive(Debug, clap::Args)]
pub(super) struct BriefArgs {
    /// Instructions for the agent, in its brief: text, @FILE, or - for stdin
    #[arg(long, value_name = "TEXT")]
    instructions: Option<String>,
    /// Context of the run, in the agent's brief: text, @FILE, or - for stdin
    #[arg(long, value_name = "TEXT")]
    context: Option<String>,
    /// A skill for the brief, besides those of the agent; may be given again
    #[arg(long = "skill", value_name = "NAME")]
    skills: Vec<String>,
    /// A config for the brief, besides those of the agent; may be given again
    #[arg(long = "config", value_name = "NAME")]
    configs: Vec<String>,
}

impl BriefArgs {
    /// Reads the parts. `job` is the payload, which may be read from stdin as well.
    pub(super) fn parts(&self, job: Option<&str>) -> Result<BriefParts, Failure> {
        let from_stdin = [self.instructions.as_deref(), self.context.as_deref(), job];
        if from_stdin.iter().filter(|text| **text == Some("-")).count() > 1 {
            let message = "stdin can be read once: --job, --instructions and --context";
            return Err(Failure::new(ErrorCode::Usage, message)
                .hint("give all but one of them as text or @FILE"));
        }
        for (flag, slugs) in [("--skill", &self.skills), ("--config", &self.configs)] {
            if let Some(slug) = slugs.iter().find(|slug| !is_definition_name(slug)) {
                let message = format!("{flag} {slug:?} cannot be a name");
                return Err(Failure::new(ErrorCode::Usage, message)
                    .hint("names have lower-case letters, digits, -, _ and ."));
            }
        }
        Ok(BriefParts {
            instructions: text("--instructions", self.instructions.as_deref())?,
            context: text("--context", self.context.as_deref())?,
            skills: self.skills.clone(),
            configs: self.configs.clone(),
        })
    }
}

/// Reads a text of at most the length of a brief.
fn text(flag: &str, given: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(given) = given else { return Ok(None) };
    let bytes = submit::payload(given)?;
    if bytes.len() > BRIEF_LIMIT_BYTES {
        let message = format!(
            "{flag} has {} bytes, and the whole brief may have {BRIEF_LIMIT_BYTES}",
            bytes.len()
        );
        return Err(Failure::new(ErrorCode::BriefTooLarge, message)
            .hint("give the agent the path of a large file instead of its content"));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::new(ErrorCode::PayloadUnreadable, format!("{flag} is no UTF-8 text"))
    })?;
    if text.is_empty() {
        return Err(Failure::new(ErrorCode::Usage, format!("{flag} is empty"))
            .hint("leave it out, or write a text"));
    }
    Ok(Some(text))
}
