//! `errand diff`: differences between manifests and the catalog.

use std::fmt::Write as _;

use errand_api::catalog::CatalogManifest;
use errand_api::error_code::ErrorCode;
use serde_json::json;

use super::lines::{LineChange, changes};
use super::shown;
use super::source::Sources;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::render;

/// Exit code if there are differences.
const DIFFERENT: u8 = 1;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exits with 1 if there are differences.

Examples:
  errand diff -f style-guide.yaml
  errand diff -f skills/code-review")]
pub(crate) struct Args {
    #[command(flatten)]
    sources: Sources,
    /// Print which definitions differ as one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the differences that `errand apply` would make.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place_of_catalog()?;
    let manifests = args.sources.read(place.as_ref()).await?;
    let mut different = Vec::new();
    for manifest in &manifests {
        let before = current(place.as_ref(), manifest).await?;
        if before.as_ref() == Some(manifest) {
            continue;
        }
        let name = shown(&manifest.name());
        if !args.json {
            let before = before.as_ref().map(|it| crate::yaml::document(&it.to_json()));
            let after = crate::yaml::document(&manifest.to_json());
            context.printer.line(&rendered(&name, before.as_deref(), &after))?;
        }
        let outcome = if before.is_some() { "changed" } else { "created" };
        different.push(json!({
            "kind": manifest.kind(), "name": manifest.metadata.name, "outcome": outcome,
        }));
    }
    let is_equal = different.is_empty();
    if args.json {
        context.printer.json(&json!({ "schema": 1, "differences": different }))?;
    }
    Ok(if is_equal { 0 } else { DIFFERENT })
}

/// Returns the current manifest of the catalog.
async fn current(
    place: Option<&RegistryOrServer>,
    manifest: &CatalogManifest,
) -> Result<Option<CatalogManifest>, Failure> {
    let Some(place) = place else { return Ok(None) };
    match place.definition(&manifest.name(), None).await {
        Ok(item) => Ok(Some(item.manifest)),
        Err(failure) if failure.code() == ErrorCode::DefinitionNotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn rendered(name: &str, before: Option<&str>, after: &str) -> String {
    let from = before.map_or_else(|| "nothing".to_owned(), |_| format!("{name} in the catalog"));
    let mut text = format!("--- {from}\n+++ {name} as given");
    for change in changes(before.unwrap_or_default(), after) {
        let (sign, line) = match change {
            LineChange::Same(line) => (' ', line),
            LineChange::Removed(line) => ('-', line),
            LineChange::Added(line) => ('+', line),
            LineChange::Skipped(count) => {
                // Writing to a string cannot fail.
                let _written = write!(text, "\n@@ {count} equal lines @@");
                continue;
            }
        };
        text.push('\n');
        text.push(sign);
        text.push_str(&render::visible(line));
    }
    text
}
