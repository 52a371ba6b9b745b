//! Agent of `errand run --image`: an agent file that is made for one run.

use std::fs;

use errand_api::agent_file::{FILE_NAME, file_of_image};
use serde_json::{Map, json};
use tempfile::TempDir;

use crate::failure::Failure;

/// Writes an agent that runs `command`, or the image's own, in a container of `image`. Returns its
/// folder, which is removed with the returned value.
pub(super) fn write(image: &str, command: &[String]) -> Result<TempDir, Failure> {
    let target = json!({ "type": "container", "image": image });
    let mut spec = Map::from_iter([("target".to_owned(), target)]);
    if !command.is_empty() {
        spec.insert("command".to_owned(), json!(command));
    }
    let agent = file_of_image(image, &spec);
    let folder = tempfile::Builder::new()
        .prefix("errand-image-")
        .tempdir()
        .map_err(|error| Failure::internal("cannot make a folder for the agent", &error))?;
    let file = folder.path().join(FILE_NAME);
    // JSON is YAML.
    fs::write(&file, agent.to_string()).map_err(|error| Failure::io("write", &file, &error))?;
    Ok(folder)
}
