//! Blobs outside of a registry: in a folder of any disk, or in S3.
//!
//! [`BlobAddress`] is the place as people write it, [`PlacedBlobs`] the blobs of one registry there.
//! Nothing is connected, and no thread is started, before a blob is needed. Deliberately absent:
//! knowledge of the names of blobs, and any cache; `errand_store::Blobs` has a copy of what it read.

mod address;
mod connect;
mod driver;
mod failure;
mod generation;
mod objects;
mod orders;
mod place;
mod remains;
mod shared;
mod transfer;

pub use address::{BlobAddress, MalformedBlobAddress};
pub use orders::PlacedOrders;
pub use place::{PlacedBlobs, is_variable_of_s3};
