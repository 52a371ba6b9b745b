//! Names that an agent file may give: which texts are one.

use std::path::Path;

/// Hint where [`is_agent_name`] says no.
pub(crate) const AGENT_HINT: &str = "lower-case letters, digits, '-' and '_', at most 63 \
                                     characters, a letter or digit first and last";

/// Reports whether `text` could be the name of an agent: a part of addresses, and of
/// `name@version`.
pub(crate) fn is_agent_name(text: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| is_plain(byte) || b"-_".contains(byte))
        && bytes.first().is_some_and(is_plain)
        && bytes.last().is_some_and(is_plain)
}

/// Reports whether `text` could be the name of a definition of the catalog.
pub fn is_definition_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 128
        && text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|byte| is_plain(byte) || b"-_.".contains(&byte))
}

/// Reports whether `text` could be a label's key.
pub(crate) fn is_label_key(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Reports whether `text` could be the name of a variable of the environment.
pub(crate) fn is_env_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.len() <= 255
}

/// Reports whether `text` could be the name of a secret: a file of that name is made of it.
pub(crate) fn is_secret_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && text.len() <= 128
}

/// Reports whether `text` could be the name of an image: what an engine makes of it is its affair.
pub(super) fn is_image(text: &str) -> bool {
    let (name, digest) = text.split_once('@').map_or((text, None), |(it, of)| (it, Some(of)));
    let is_digest = |digest: &str| {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    text.len() <= 512
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.contains("//")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b))
        && digest.is_none_or(is_digest)
}

/// Reports whether `text` could be a user of a container, with or without a group.
pub(super) fn is_container_user(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    let (user, group) = text.split_once(':').map_or((text, None), |(user, it)| (user, Some(it)));
    text.len() <= 128 && is_name(user) && group.is_none_or(is_name)
}

/// Reports whether `text` is a path that stays below the folder that it is relative to.
pub(super) fn is_workspace_path(text: &str) -> bool {
    use std::path::Component;
    let mut parts = Path::new(text).components();
    !text.is_empty()
        && !text.contains('\0')
        && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Reports whether `text` could be the path of a mount in a container.
pub(super) fn is_container_path(text: &str) -> bool {
    let relative = text.strip_prefix('/').map(|rest| rest.trim_end_matches('/'));
    relative.is_some_and(|rest| {
        // A `.` in front would hide the folder of errand behind it.
        let is_plain = !rest.starts_with(".errand") && !Path::new(rest).starts_with(".");
        is_plain && is_workspace_path(rest) && !rest.contains(':')
    })
}

/// Reports whether `text` is an absolute path that does not go up.
pub(super) fn is_path_of_machine(text: &str) -> bool {
    text.starts_with('/') && !text.contains('\0') && !text.split('/').any(|part| part == "..")
}

/// Reports whether `text` could be the name of a namespace, a service account or a runtime class.
pub(super) fn is_kubernetes_name(text: &str) -> bool {
    let is_end = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    text.len() <= 63
        && bytes.first().copied().is_some_and(is_end)
        && bytes.last().copied().is_some_and(is_end)
        && bytes.iter().all(|b| is_end(*b) || *b == b'-')
}

/// Hint where [`is_slug`] says no.
pub(crate) const SLUG_HINT: &str = "letters, digits, '-', '_' and '.', at most 128 characters";

/// Reports whether `text` could be the name of a skill, config, policy or tool.
pub(crate) fn is_slug(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Hint where [`is_member_name`] says no.
pub(crate) const MEMBER_HINT: &str =
    "letters, digits, '-' and '_', at most 63 characters, a letter or digit first";

/// Reports whether `text` could be what an agent is called within a coordinator: part of the keys
/// of steps, of references in templates, and of addresses.
pub(crate) fn is_member_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Reports whether `text` can stand where a program might take it for an option or for two words.
pub(crate) fn is_plain_argument(text: &str) -> bool {
    !text.starts_with('-') && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Reports whether `text` is an HTTP address that can stand as an argument.
pub(crate) fn is_http_url(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty()) && is_plain_argument(text)
}

/// Reports whether `text` is the path of a request, without query and fragment.
pub(crate) fn is_url_path(text: &str) -> bool {
    text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
}

/// Reports whether `text` is a version by semver.org 2.0.0.
pub(crate) fn is_semantic_version(text: &str) -> bool {
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
            assert!(is_semantic_version(version), "{version}");
        }
        for version in
            ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.x"]
        {
            assert!(!is_semantic_version(version), "{version}");
        }
    }
}
