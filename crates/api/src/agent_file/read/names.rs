//! What names may look like.

/// What to write where [`is_dns_label`] says no.
pub(super) const DNS_HINT: &str = "lower-case letters, digits and dashes, at most 63 characters, \
                                   no dash at either end";

/// Whether `text` could be a label of a host name (RFC 1123, section 2.1), in lower case.
pub(super) fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What to write where [`is_agent_name`] says no.
pub(super) const AGENT_HINT: &str = "lower-case letters, digits, '-' and '_', at most 63 \
                                     characters, a letter or digit first and last";

/// Whether `text` could be the name of an agent: a part of addresses, and of `name@version`.
pub(super) fn is_agent_name(text: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| is_plain(byte) || b"-_".contains(byte))
        && bytes.first().is_some_and(is_plain)
        && bytes.last().is_some_and(is_plain)
}

/// Whether `text` could be a label's key.
pub(super) fn is_label_key(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Whether `text` could be the name of a variable of the environment.
pub(super) fn is_env_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.len() <= 255
}

/// Whether `text` could be the name of a secret: a file of that name is made of it.
pub(super) fn is_secret_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && text.len() <= 128
}

/// What to write where [`is_slug`] says no.
pub(super) const SLUG_HINT: &str = "letters, digits, '-', '_' and '.', at most 128 characters";

/// Whether `text` could be the name of a skill, config, policy or tool.
pub(super) fn is_slug(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// What to write where [`is_member_name`] says no.
pub(super) const MEMBER_HINT: &str =
    "letters, digits, '-' and '_', at most 63 characters, a letter or digit first";

/// Whether `text` could be what an agent is called within a coordinator: part of the keys of steps,
/// of references in templates, and of addresses.
pub(super) fn is_member_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Whether `text` can stand where a program might take it for an option or for two words.
pub(super) fn is_plain_argument(text: &str) -> bool {
    !text.starts_with('-') && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}
