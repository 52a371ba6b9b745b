//! Failures of the engine's areas, which read like the same error of the whole engine.

use errand_store::BlobPlaceFault;

use super::Failure;

errand_engine::from_area_errors!(Failure);
errand_engine::from_area_errors!(
    Failure:
    errand_engine::agents::Error,
    errand_engine::error::MemberError,
);

/// Returns what to do about a fault of the place of the blobs.
pub(super) const fn blob_place_hint(fault: BlobPlaceFault) -> &'static str {
    match fault {
        BlobPlaceFault::AddressInvalid => "write --blobs DIR or --blobs s3://bucket/prefix",
        BlobPlaceFault::Elsewhere => "leave --blobs out: the place is recorded in the registry",
        BlobPlaceFault::KeyInvalid => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for a key that \
             expires)"
        }
        BlobPlaceFault::AccessDenied => {
            "allow the key to get, put, list and delete objects below the prefix"
        }
        BlobPlaceFault::BucketMissing => {
            "create the bucket, or mend its name; AWS_REGION has to be its region"
        }
        BlobPlaceFault::FolderMissing => "look whether the disk is mounted, or the bucket replaced",
        BlobPlaceFault::Unreachable => {
            "look whether the service runs and is reached from here (AWS_ENDPOINT_URL, AWS_REGION), \
             and try again"
        }
        BlobPlaceFault::UploadCut => "try again",
    }
}
