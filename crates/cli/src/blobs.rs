//! Place of the blobs: chosen once with `--blobs`, recorded in the registry, and used by every command
//! from then on.

use std::ffi::OsStr;
use std::sync::Arc;

use errand_api::error_code::ErrorCode;
use errand_blobs::{BlobAddress, PlacedBlobs};
use errand_store::{BlobPlaceFault, BlobPlaceRecord, Error as StoreError, Store};

use crate::context::Context;
use crate::failure::Failure;

/// Variable with the place of the blobs.
pub(crate) const VARIABLE: &str = "ERRAND_BLOBS";

impl Context {
    /// Returns the place that a command or the environment asks for; `None` for the recorded one.
    pub(crate) fn blob_address(&self, typed: Option<&str>) -> Result<Option<BlobAddress>, Failure> {
        let named = typed.or_else(|| self.variable(VARIABLE).and_then(OsStr::to_str));
        let parse = |text| {
            BlobAddress::parse(text, &self.cwd).map_err(|error| {
                Failure::new(ErrorCode::BlobsAddressInvalid, error.to_string())
                    .hint("write --blobs DIR or --blobs s3://bucket/prefix")
            })
        };
        named.map(parse).transpose()
    }

    /// Lets the store keep its blobs in the recorded place, or records this one. A place that a
    /// command asks for is checked: nothing is created in the registry before it answers.
    pub(crate) fn keep_blobs(
        &self,
        store: &dyn Store,
        wanted: Option<&BlobAddress>,
    ) -> Result<(), Failure> {
        let Some(wanted) = wanted else {
            if let Some(record) = store.blob_place()? {
                store.keep_blobs_in(Arc::new(PlacedBlobs::new(&record, &self.environment)?));
            }
            return Ok(());
        };
        let record = match store.blob_place()? {
            Some(record) => record,
            None => self.record(store, wanted)?,
        };
        if record.place != wanted.to_string() {
            return Err(StoreError::BlobPlace {
                fault: BlobPlaceFault::Elsewhere,
                place: wanted.to_string(),
                doing: "keep blobs",
                reason: format!("this registry keeps them in {}", record.place),
            }
            .into());
        }
        let placed = PlacedBlobs::new(&record, &self.environment)?;
        placed.check()?;
        store.keep_blobs_in(Arc::new(placed));
        Ok(())
    }

    /// Takes a folder in the place and records it. Another process may be faster.
    fn record(&self, store: &dyn Store, wanted: &BlobAddress) -> Result<BlobPlaceRecord, Failure> {
        let number = getrandom::u64()
            .map_err(|error| Failure::internal("there is no randomness", &error))?;
        let record =
            BlobPlaceRecord { place: wanted.to_string(), folder: format!("{number:016x}") };
        let owner = serde_json::json!({
            "schema": 1,
            "host": errand_agent::os::host_name(),
            "registry": self.registry_or_place().root().display().to_string(),
        });
        PlacedBlobs::new(&record, &self.environment)?.claim(&owner.to_string())?;
        Ok(store.record_blob_place(&record)?)
    }
}
