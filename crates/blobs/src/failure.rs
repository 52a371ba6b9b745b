//! Faults of a place for blobs, from the answers of its service.

use std::error::Error as StdError;
use std::io::ErrorKind;

use errand_store::{BlobPlaceFault, Error};

use crate::address::BlobAddress;

/// Longest reason that is passed on.
const REASON_CHARS: usize = 300;

/// Codes of S3 about the key id, the key or the token itself.
const KEY_CODES: [&str; 6] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "AuthorizationHeaderMalformed",
];

/// Returns the store's error for an error of the place.
pub(crate) fn error(
    address: &BlobAddress,
    doing: &'static str,
    error: &object_store::Error,
) -> Error {
    if let (BlobAddress::Folder(path), Some(io)) = (address, io_error(error))
        && matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    {
        return Error::Full { path: path.clone() };
    }
    let text = chain(error);
    let fault = fault(error, &text);
    fail(address, doing, fault, reason(&text, fault))
}

/// Returns the store's error for a fault with its reason.
pub(crate) fn fail(
    address: &BlobAddress,
    doing: &'static str,
    fault: BlobPlaceFault,
    reason: impl Into<String>,
) -> Error {
    Error::BlobPlace { fault, place: address.to_string(), doing, reason: reason.into() }
}

fn fault(error: &object_store::Error, text: &str) -> BlobPlaceFault {
    if KEY_CODES.iter().any(|code| text.contains(code)) || is_without_key(text) {
        return BlobPlaceFault::KeyInvalid;
    }
    if text.contains("NoSuchBucket") || text.contains("PermanentRedirect") {
        return BlobPlaceFault::BucketMissing;
    }
    if let Some(io) = io_error(error).filter(|_| !text.contains("error sending request")) {
        return if is_denied(io) {
            BlobPlaceFault::AccessDenied
        } else {
            BlobPlaceFault::Unreachable
        };
    }
    if matches!(
        error,
        object_store::Error::PermissionDenied { .. }
            | object_store::Error::NotImplemented { .. }
            | object_store::Error::NotSupported { .. }
    ) {
        return BlobPlaceFault::AccessDenied;
    }
    if matches!(error, object_store::Error::Unauthenticated { .. }) {
        return BlobPlaceFault::KeyInvalid;
    }
    // Of a service that does not answer in time, or with an error of its own.
    BlobPlaceFault::Unreachable
}

/// Returns true if the operating system refuses the access to a folder.
pub(crate) fn is_denied(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// Returns true if no variable has a key, and the machine's own role was asked for in vain.
fn is_without_key(text: &str) -> bool {
    text.contains("/latest/api/token") || text.contains("169.254.169.254")
}

fn io_error(error: &object_store::Error) -> Option<&std::io::Error> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        next = error.source();
    }
    None
}

/// Returns the texts of an error and of its causes.
fn chain(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = error.source();
    }
    text
}

/// Returns the reason for people: code and message of S3 if there are any, else the last cause.
fn reason(text: &str, fault: BlobPlaceFault) -> String {
    let within = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0.trim().to_owned())
    };
    let reason = match (within("Code"), within("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        (None, _) if fault == BlobPlaceFault::KeyInvalid && is_without_key(text) => {
            "no key is set, and this machine has no role".to_owned()
        }
        (None, _) => text.rsplit_once(" - ").map_or(text, |(_, last)| last).to_owned(),
    };
    reason.chars().filter(|it| !it.is_control()).take(REASON_CHARS).collect()
}
