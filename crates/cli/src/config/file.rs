//! The configuration file: its path and its content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use errand_api::config::{self, FILE_NAME, FileSetting};
use errand_api::error_code::ErrorCode;

use crate::context::Context;
use crate::failure::Failure;

/// Largest configuration file: it is written by hand.
const LIMIT_BYTES: u64 = 1024 * 1024;

/// A configuration file that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) path: PathBuf,
    pub(super) given: BTreeMap<&'static str, FileSetting>,
}

/// Reads the file named on the command line or in the environment, or else the one beside the
/// registry's folder, if it exists.
pub(super) fn read(context: &Context, typed: Option<&Path>) -> Result<Option<Read>, Failure> {
    let named =
        typed.map(Path::to_owned).or_else(|| context.variable("ERRAND_CONFIG").map(PathBuf::from));
    let (path, must_be) = match named {
        Some(named) => (context.cwd.join(named), true),
        None => {
            let registry = context.registry_or_place();
            let folder = registry.root().parent().unwrap_or(&context.cwd).to_owned();
            (folder.join(FILE_NAME), false)
        }
    };
    let bytes = match bounded(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_be => return Ok(None),
        Err(error) => {
            let message = format!("cannot read the configuration {}", path.display());
            return Err(Failure::new(ErrorCode::ConfigInvalid, message).because(&error));
        }
    };
    let given = config::parse(&path.display().to_string(), &bytes).map_err(|problems| {
        let count = problems.problems.len() + problems.omitted;
        let noun = if count == 1 { "problem" } else { "problems" };
        let text = problems.with_excerpts();
        let message = format!("{} has {count} {noun}\n\n{text}", problems.source_name);
        Failure::new(ErrorCode::ConfigInvalid, message)
    })?;
    Ok(Some(Read { path, given }))
}

fn bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // A byte beyond the limit makes the parser report it.
    std::fs::File::open(path)?.take(LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
