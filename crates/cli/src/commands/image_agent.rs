//! Agent of `errand run --image`: an agent file that is made for one run.

use std::fs;

use errand_api::agent_file::{API_VERSION, FILE_NAME, KIND};
use serde_json::json;
use tempfile::TempDir;

use crate::failure::Failure;

/// Longest name of an agent.
const NAME_LIMIT: usize = 63;
/// Name of an agent whose image has none that an agent could have.
const UNNAMED: &str = "image";

/// Writes an agent that runs `command`, or the image's own, in a container of `image`. Returns its
/// folder, which is removed with the returned value.
pub(super) fn write(image: &str, command: &[String]) -> Result<TempDir, Failure> {
    let mut spec = json!({ "target": { "type": "container", "image": image } });
    if !command.is_empty() {
        spec["command"] = json!(command);
    }
    let agent = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": { "name": name(image) },
        "spec": spec,
    });
    let folder = tempfile::Builder::new()
        .prefix("errand-image-")
        .tempdir()
        .map_err(|error| Failure::internal("cannot make a folder for the agent", &error))?;
    let file = folder.path().join(FILE_NAME);
    // JSON is YAML.
    fs::write(&file, agent.to_string()).map_err(|error| Failure::io("write", &file, &error))?;
    Ok(folder)
}

/// Returns the name of the agent: that of the image, without registry, tag and digest.
fn name(image: &str) -> String {
    let last = image.split('@').next().and_then(|it| it.rsplit('/').next()).unwrap_or_default();
    let last = last.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = last.chars().map(plain).take(NAME_LIMIT).collect();
    let is_end = |c: char| !c.is_ascii_alphanumeric();
    let name = name.trim_matches(is_end);
    if name.is_empty() { UNNAMED.to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_called_like_its_image() {
        for (image, expect) in [
            ("ghcr.io/org/My.Agent:1.2", "my-agent"),
            ("localhost:5000/bb@sha256:00", "bb"),
            ("busybox", "busybox"),
            ("-", "image"),
        ] {
            assert_eq!(name(image), expect, "{image}");
        }
    }
}
