//! `errand apply`: stores manifests in the catalog, all of them or none.

use errand_api::catalog::{
    CatalogApplied, CatalogBatch, CatalogChange, CatalogManifest, CatalogOutcome,
};
use serde_json::json;

use super::shown;
use super::source::Sources;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand apply -f style-guide.yaml         a file with one or more manifests
  errand apply -f skills/code-review       a folder with a SKILL.md
  errand apply -f catalog/                 all manifests and skills of a folder
  errand get config style-guide -o yaml | errand apply -f -")]
pub(crate) struct Args {
    #[command(flatten)]
    sources: Sources,
    /// Store nothing, and print what would change
    #[arg(long)]
    dry_run: bool,
    /// Print the changes as one JSON object
    #[arg(long)]
    json: bool,
}

/// Applies manifests.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let Args { sources, dry_run, json } = args;
    // Nothing is created for manifests that have problems.
    let known = context.place_of_catalog()?;
    let manifests = sources.read(known.as_ref()).await?;
    let batch = CatalogBatch { manifests, dry_run };
    let applied = match known {
        Some(place) => super::by_user(context, place).apply_manifests(&batch).await?,
        None if dry_run => {
            CatalogApplied { changes: batch.manifests.iter().map(created).collect() }
        }
        None => {
            let place = super::by_user(context, context.place_or_create()?);
            place.apply_manifests(&batch).await?
        }
    };
    if json {
        context
            .printer
            .json(&json!({ "schema": 1, "dry_run": dry_run, "changes": applied.changes }))?;
        return Ok(0);
    }
    for CatalogChange { kind, name, outcome, version, .. } in applied.changes {
        let name = shown(&(kind, name));
        let note = if dry_run { ", dry run" } else { "" };
        context.printer.line(&format!("{name} {} (version {version}{note})", outcome.as_str()))?;
    }
    Ok(0)
}

/// Returns the change that a manifest makes in an empty catalog.
fn created(manifest: &CatalogManifest) -> CatalogChange {
    let (kind, name) = manifest.name();
    let outcome = CatalogOutcome::Created;
    CatalogChange { kind, name, outcome, version: 1, digest: manifest.digest() }
}
