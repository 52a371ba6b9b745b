//! `metadata`: name, version, labels.

use super::super::definition::Agent;
use super::super::reader::{At, Reader};
use super::names;

pub(super) const FIELDS: &[&str] = &["name", "version", "labels"];

/// Longest label: enough for a URL, too short for a document.
const MAX_LABEL_CHARS: usize = 255;

pub(super) fn read(reader: &mut Reader, at: &At<'_>, agent: &mut Agent) {
    let Some(fields) = reader.object(at, FIELDS) else { return };
    if let Some(at) = fields.require(reader, "name", "write name: my-agent")
        && let Some(name) = reader.text(&at)
    {
        if names::is_agent_name(&name) {
            agent.name = name;
        } else {
            reader.report_hint(
                &at,
                format!("{name:?} cannot be an agent's name"),
                names::AGENT_HINT,
            );
        }
    }
    if let Some(at) = fields.get("version")
        && let Some(version) = reader.word(&at)
    {
        if is_semantic(&version) {
            agent.version = version;
        } else {
            reader.report_hint(
                &at,
                format!("{version:?} is not a semantic version"),
                "write three numbers, such as 1.2.0 or 1.2.0-rc.1",
            );
        }
    }
    if let Some(at) = fields.get("labels") {
        agent.labels = reader.words_by_key(&at, check_label_key, "write \"\" for an empty label");
        if let Some((key, _)) =
            agent.labels.iter().find(|(_, value)| value.chars().count() > MAX_LABEL_CHARS)
        {
            let message = format!("the label {key:?} is longer than {MAX_LABEL_CHARS} characters");
            reader.report(&at, message);
        }
    }
}

fn check_label_key(key: &str) -> Result<(), String> {
    if names::is_label_key(key) {
        return Ok(());
    }
    Err(format!("{key:?} cannot be a label: letters, digits, '-', '_', '.', '/', at most 63"))
}

/// Whether `text` is a version by semver.org 2.0.0.
fn is_semantic(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, b)| (rest, Some(b)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, p)| (core, Some(p)));
    let is_number = |part: &str| {
        !part.is_empty()
            && part.len() <= 18
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let is_identifier = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_pre = |part: &str| {
        is_identifier(part) && (is_number(part) || !part.bytes().all(|b| b.is_ascii_digit()))
    };
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.is_none_or(|pre| pre.split('.').all(is_pre))
        && build.is_none_or(|build| build.split('.').all(is_identifier))
        && text.len() <= 128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_semver() {
        for version in ["0.0.0", "1.2.3", "10.20.30-rc.1", "1.0.0-a-b.0+build.007", "1.0.0+x"] {
            assert!(is_semantic(version), "{version}");
        }
        for version in
            ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.x"]
        {
            assert!(!is_semantic(version), "{version}");
        }
    }
}
