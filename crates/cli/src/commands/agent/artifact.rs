//! `errand agent artifact`: stores a file with the run.

use std::path::{Path, PathBuf};

use errand_agent::agent_api::Client;
use errand_api::agent_protocol::check_artifact_name;
use errand_api::error_code::ErrorCode;

use super::failed;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file
    path: PathBuf,
    /// Its name in the run; by default the file's own. A later one of the same name replaces it
    #[arg(long)]
    name: Option<String>,
    /// Its media type; by default what the name's ending says
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,
}

pub(super) async fn run(context: &Context, mut client: Client, args: Args) -> Result<(), Failure> {
    let name = match args.name {
        Some(name) => name,
        None => own_name(&args.path)?,
    };
    check_artifact_name(&name).map_err(|error| {
        Failure::new(ErrorCode::ArtifactInvalid, error.to_string())
            .hint("give it another name with --name")
    })?;
    let media_type = args.media_type.as_deref().unwrap_or_else(|| media_type(&name));
    let kept = client.keep_artifact(&name, &args.path, Some(media_type)).await.map_err(failed)?;
    context.printer.line(&kept.uri)
}

fn own_name(path: &Path) -> Result<String, Failure> {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).ok_or_else(|| {
        Failure::new(ErrorCode::ArtifactInvalid, format!("{} has no file name", path.display()))
            .hint("name a file")
    })
}

/// Returns the media type of common file endings.
fn media_type(name: &str) -> &'static str {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "csv" => "text/csv",
        "diff" | "log" | "patch" | "txt" => "text/plain",
        "gz" => "application/gzip",
        "htm" | "html" => "text/html",
        "jpeg" | "jpg" => "image/jpeg",
        "json" => "application/json",
        "jsonl" => "application/jsonl",
        "md" => "text/markdown",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "tar" => "application/x-tar",
        "xml" => "application/xml",
        "yaml" | "yml" => "application/yaml",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}
