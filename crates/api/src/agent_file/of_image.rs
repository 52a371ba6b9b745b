//! Agents that are no more than an image or a command: agent files that programs write.

use serde_json::{Map, Value, json};

use super::{API_VERSION, KIND};

/// Longest name of an agent.
const NAME_LIMIT: usize = 63;
/// Name of an agent whose image has none that an agent could have.
const UNNAMED: &str = "image";
/// Name of an agent whose program has none that an agent could have.
const UNNAMED_COMMAND: &str = "command";

/// Returns the agent file of an image: its name is that of the image, and `spec` is what the file
/// says beside the image in `target`.
pub fn file_of_image(image: &str, spec: &Map<String, Value>) -> Value {
    file(&name_of_image(image), spec)
}

/// Returns the agent file of a command: its name is that of the program, and `spec` is what the
/// file says.
pub fn file_of_command(program: &str, spec: &Map<String, Value>) -> Value {
    let last = program.rsplit('/').next().unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    file(&plain_name(stem, UNNAMED_COMMAND), spec)
}

fn file(name: &str, spec: &Map<String, Value>) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": { "name": name },
        "spec": spec,
    })
}

/// Returns the name of an image, without registry, tag and digest, as the name of an agent.
fn name_of_image(image: &str) -> String {
    let last = image.split('@').next().and_then(|it| it.rsplit('/').next()).unwrap_or_default();
    plain_name(last.split(':').next().unwrap_or_default(), UNNAMED)
}

/// Returns a name as the name of an agent, or `unnamed` if nothing of it can be one.
fn plain_name(name: &str, unnamed: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = name.to_ascii_lowercase().chars().map(plain).take(NAME_LIMIT).collect();
    let is_end = |c: char| !c.is_ascii_alphanumeric();
    let name = name.trim_matches(is_end);
    if name.is_empty() { unnamed.to_owned() } else { name.to_owned() }
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
