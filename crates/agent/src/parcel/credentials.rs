//! Files that look like credentials, which are not meant to be packed.

/// Bytes at the beginning of a file that are checked.
pub(super) const LOOK_BYTES: usize = 64 * 1_024;

/// Names of files that hold credentials, in lower case.
const NAMES: [&str; 15] = [
    ".env",
    ".envrc",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".pypirc",
    ".htpasswd",
    ".git-credentials",
    "credentials.json",
    "client_secret.json",
    "kubeconfig",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
];
/// Suffixes of names of files that hold private keys.
const ENDS: [&str; 5] = [".p12", ".pfx", ".jks", ".keystore", ".kdbx"];
/// Suffixes of `.env.…` files that hold examples.
const EXAMPLES: [&str; 5] = ["example", "sample", "template", "dist", "defaults"];
/// Folders, and files in folders, of programs that store credentials.
const PLACES: [&str; 7] = [
    ".aws/",
    ".ssh/",
    ".gnupg/",
    ".kube/config",
    ".docker/config.json",
    ".config/gcloud/",
    ".config/gh/hosts.yml",
];
/// Texts at the beginning of files of private keys.
const BEGINNINGS: [&str; 3] =
    ["AGE-SECRET-KEY-1", "PuTTY-User-Key-File-", "-----BEGIN PGP PRIVATE KEY"];

/// Returns true if a file looks like credentials by its path, with `/` between the parts.
pub(super) fn by_name(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    if let Some(kind) = name.strip_prefix(".env.") {
        return !EXAMPLES.iter().any(|example| kind.ends_with(example));
    }
    let within = format!("/{path}");
    NAMES.contains(&name)
        || ENDS.iter().any(|end| name.ends_with(end))
        || PLACES.iter().any(|place| match place.strip_suffix('/') {
            Some(folder) => within.contains(&format!("/{folder}/")),
            None => within.ends_with(&format!("/{place}")),
        })
}

/// Returns true if a file looks like a private key by its beginning.
pub(super) fn by_content(path: &str, begin: &[u8]) -> bool {
    let path = path.to_ascii_lowercase();
    let trimmed = begin.trim_ascii_start();
    if BEGINNINGS.iter().any(|start| trimmed.starts_with(start.as_bytes())) {
        return true;
    }
    if trimmed.starts_with(b"# created: ") && has(begin, b"AGE-SECRET-KEY-1") {
        return true;
    }
    let is_key_file = [".pem", ".key", ".crt"].iter().any(|end| path.ends_with(end));
    let is_account = path.ends_with(".json") && has(begin, b"\"private_key\"");
    let first_line = trimmed.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let header = if is_key_file || is_account { begin } else { first_line };
    has(header, b"-----BEGIN ") && has(header, b"PRIVATE KEY-----") || is_npm_token(&path, begin)
}

fn is_npm_token(path: &str, begin: &[u8]) -> bool {
    (path == ".npmrc" || path.ends_with("/.npmrc"))
        && has(begin, b"_authToken=")
        && !has(begin, b"_authToken=${")
}

fn has(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_recognized_by_their_names() {
        for path in [
            ".env",
            "a/.env",
            ".env.local",
            ".ENV.production",
            "id_rsa",
            "x/.ssh/known",
            ".aws/config",
            "home/.kube/config",
            ".netrc",
            "credentials.json",
            "a.p12",
            ".docker/config.json",
        ] {
            assert!(by_name(path), "{path}");
        }
        for path in [
            ".env.example",
            ".env.local.template",
            "env",
            "environment.py",
            "id_rsa.pub",
            "config",
            "aws/config",
            "credentials.py",
            "key.pem",
        ] {
            assert!(!by_name(path), "{path}");
        }
    }

    #[test]
    fn private_keys_are_recognized_by_their_beginnings() {
        let key = b"-----BEGIN RSA PRIVATE KEY-----\nabc";
        let account = b"{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\nabc\"}";
        assert!(by_content("x", key));
        assert!(by_content("x.pem", &[b"Subject: x\n".as_slice(), key].concat()));
        assert!(by_content("account.json", account));
        assert!(by_content("identity.txt", b"# created: 2026\nAGE-SECRET-KEY-1ABC"));
        assert!(by_content(".npmrc", b"//registry/:_authToken=abc"));
        assert!(!by_content(".npmrc", b"//registry/:_authToken=${NPM_TOKEN}"));
        assert!(!by_content("ca.pem", b"-----BEGIN CERTIFICATE-----\nabc"));
        assert!(!by_content("test.py", b"KEY = '''\n-----BEGIN PRIVATE KEY-----\nabc'''"));
        assert!(!by_content("id.pub", b"ssh-ed25519 AAAA"));
    }
}
