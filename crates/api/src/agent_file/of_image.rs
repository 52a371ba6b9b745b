//! Agents that are no more than an image: agent files that programs write.

use serde_json::{Map, Value, json};

use super::{API_VERSION, KIND};

/// Longest name of an agent.
const NAME_LIMIT: usize = 63;
/// Name of an agent whose image has none that an agent could have.
const UNNAMED: &str = "image";

/// Returns the agent file of an image: its name is that of the image, and `spec` is what the file
/// says beside the image in `target`.
pub fn file_of_image(image: &str, spec: &Map<String, Value>) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": { "name": name_of_image(image) },
        "spec": spec,
    })
}

/// Returns the name of an image, without registry, tag and digest, as the name of an agent.
fn name_of_image(image: &str) -> String {
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
            assert_eq!(name_of_image(image), expect, "{image}");
        }
    }
}
