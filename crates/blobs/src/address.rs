//! Address of a place for blobs.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Lengths that S3 allows for the name of a bucket.
const BUCKET_LENGTHS: std::ops::RangeInclusive<usize> = 3..=63;
/// Longest prefix: with the name of a blob it must fit into the 1024 bytes of a key of S3.
const PREFIX_LIMIT_BYTES: usize = 512;

/// Place in which blobs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobAddress {
    /// A folder: its absolute path.
    Folder(PathBuf),
    /// A bucket of S3, or of a service that speaks its protocol.
    Bucket {
        /// Name of the bucket.
        bucket: String,
        /// Beginning of all keys, without slashes at its ends; may be empty.
        prefix: String,
    },
}

impl BlobAddress {
    /// Parses `s3://bucket/prefix`, or the path of a folder; a relative one begins at `cwd`.
    ///
    /// # Errors
    ///
    /// [`MalformedBlobAddress`].
    pub fn parse(text: &str, cwd: &Path) -> Result<Self, MalformedBlobAddress> {
        let refuse = |reason: &str| {
            Err(MalformedBlobAddress { text: shown(text), reason: reason.to_owned() })
        };
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if !is_bucket(bucket) {
                return refuse(
                    "the name of a bucket has 3 to 63 characters: a-z, 0-9, dot and hyphen",
                );
            }
            let prefix = prefix.trim_matches('/');
            if prefix.len() > PREFIX_LIMIT_BYTES {
                return refuse("the prefix has more than 512 bytes");
            }
            let is_plain = |part: &str| !matches!(part, "" | "." | "..");
            if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
                return refuse("the prefix has an empty part, or . or ..");
            }
            if prefix.chars().any(|it| it.is_control() || "?#\\".contains(it)) {
                return refuse("the prefix has a control character, ?, # or \\");
            }
            return Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        }
        if text.contains("://") {
            return refuse("only s3:// and folders are supported");
        }
        if text.is_empty() {
            return refuse("it is empty");
        }
        Ok(Self::Folder(cwd.join(text)))
    }
}

fn is_bucket(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    BUCKET_LENGTHS.contains(&name.len())
        && name.bytes().all(|byte| is_inner(byte) || byte == b'.' || byte == b'-')
        && name.bytes().next().is_some_and(is_inner)
        && name.bytes().next_back().is_some_and(is_inner)
}

/// Returns the text without credentials that stand before an `@`.
fn shown(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://[redacted]@{rest}"),
        (_, _) => text.to_owned(),
    }
}

impl fmt::Display for BlobAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Error: a text is no address of a place for blobs.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("blobs cannot be kept in {text:?}: {reason}")]
pub struct MalformedBlobAddress {
    /// The text, without credentials.
    pub text: String,
    /// Description of the fault.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        BlobAddress::parse(text, Path::new("/here"))
            .map(|address| address.to_string())
            .map_err(|error| error.reason)
    }

    #[test]
    fn an_address_is_a_folder_or_a_bucket_with_a_prefix() {
        assert_eq!(parsed("blobs"), Ok("/here/blobs".to_owned()));
        assert_eq!(parsed("/mnt/blobs"), Ok("/mnt/blobs".to_owned()));
        assert_eq!(parsed("s3://my.bucket-1"), Ok("s3://my.bucket-1".to_owned()));
        assert_eq!(parsed("s3://bucket/a/b/"), Ok("s3://bucket/a/b".to_owned()));
    }

    #[test]
    fn an_address_with_a_fault_is_refused() {
        for text in [
            "",
            "s3://",
            "s3://UP/x",
            "s3://b",
            "s3://-bu",
            "s3://bu_cket",
            "s3://b/../c",
            "gs://b",
            "s3://bucket/a//b",
            "s3://bucket/../x",
            "s3://bucket/a?b",
            "s3://key:secret@bucket/a",
        ] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
        let error = BlobAddress::parse("s3://key:secret@bucket", Path::new("/")).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
