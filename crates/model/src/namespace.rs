//! Namespaces: groups of runs, agents and sessions that do not see each other.

use thiserror::Error;

/// The longest name that a namespace may have, in bytes.
const LIMIT_BYTES: usize = 63;
/// The name that people use for the namespace of runs that say none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// A text that names no namespace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no namespace: 1 to 63 lower-case letters, digits and '-', beginning with a letter"
)]
pub struct MalformedNamespace {
    /// Text as given.
    pub text: String,
}

/// The namespace that a text means: `None` is the default one, under its name or none.
///
/// # Errors
///
/// [`MalformedNamespace`] if no namespace can have that name.
pub fn parse_namespace(text: &str) -> Result<Option<String>, MalformedNamespace> {
    let is_sound = text.len() <= LIMIT_BYTES
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_sound {
        return Err(MalformedNamespace { text: text.to_owned() });
    }
    Ok((text != DEFAULT_NAMESPACE).then(|| text.to_owned()))
}

/// Returns the name of a namespace's session or agent where all namespaces are stored together:
/// `<namespace>/<name>`, and the name itself in the default namespace.
pub fn scoped(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// The name that [`scoped`] was given; a name of another namespace stays as it is.
pub fn unscoped<'n>(namespace: Option<&str>, name: &'n str) -> &'n str {
    namespace.and_then(|namespace| name.strip_prefix(namespace)?.strip_prefix('/')).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_namespace_has_a_name_and_no_prefix() {
        assert_eq!(parse_namespace("default"), Ok(None));
        assert_eq!(scoped(None, "chat"), "chat");
    }

    #[test]
    fn a_scoped_name_is_found_again() {
        assert_eq!(scoped(Some("team-a"), "chat"), "team-a/chat");
        assert_eq!(unscoped(Some("team-a"), "team-a/chat"), "chat");
        assert_eq!(unscoped(Some("team"), "team-a/chat"), "team-a/chat");
    }

    #[test]
    fn what_could_be_mistaken_for_a_path_is_no_namespace() {
        for text in ["", "a/b", "A", "-a", "1a", "a b", &"a".repeat(64)] {
            assert!(parse_namespace(text).is_err(), "{text:?}");
        }
    }
}
