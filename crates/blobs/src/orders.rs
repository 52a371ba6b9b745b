//! Orders for dispatchers, in a place for blobs that senders and dispatchers share.
//!
//! Orders are no blobs of a registry: they lie beside the folders of registries, in `orders/`, each
//! under its digest, and no collector of a registry touches them. The dispatcher removes an order
//! that it has taken; one that no dispatcher took is removed when it is old.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::time::{Duration, SystemTime};

use errand_model::Digest;
use errand_store::{BlobPlaceFault, Error};
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use tokio::sync::OnceCell;

use crate::address::BlobAddress;
use crate::connect::Connected;
use crate::failure;
use crate::place::is_variable_of_s3;

/// Folder of orders below the prefix of the place.
const FOLDER: &str = "orders";
/// Object of the folder that tells the clock of the place.
const CLOCK: &str = "clock";
/// Longest order that is read: a brief of 8 MiB and a task of 8 MiB, both escaped as JSON.
const LIMIT_BYTES: u64 = 40 * 1024 * 1024;

/// Orders in a place. Cheap to make: the place is asked first when an order is needed.
pub struct PlacedOrders {
    address: BlobAddress,
    folder: Path,
    variables: BTreeMap<String, String>,
    connected: OnceCell<Connected>,
}

impl PlacedOrders {
    /// Returns the orders in a place. `environment` has the variables of S3.
    pub fn new(address: BlobAddress, environment: &BTreeMap<OsString, OsString>) -> Self {
        let prefix = match &address {
            BlobAddress::Folder(_) => "",
            BlobAddress::Bucket { prefix, .. } => prefix,
        };
        let folder = Path::from(prefix).join(FOLDER);
        let of_s3 = |(name, value): (&OsString, &OsString)| {
            let (name, value) = (name.to_str()?, value.to_str()?);
            (is_variable_of_s3(name) && !value.is_empty())
                .then(|| (name.to_owned(), value.to_owned()))
        };
        let variables = environment.iter().filter_map(of_s3).collect();
        Self { address, folder, variables, connected: OnceCell::new() }
    }

    /// Returns the place as it is written.
    pub fn place(&self) -> String {
        self.address.to_string()
    }

    /// Stores an order under its digest, unless it is there.
    ///
    /// # Errors
    ///
    /// [`Error::BlobPlace`].
    pub async fn put(&self, digest: &Digest, order: Vec<u8>) -> Result<(), Error> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let store = &self.connected().await?.store;
        match store.put_opts(&self.key(digest), PutPayload::from(order), options).await {
            Ok(_)
            | Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(()),
            Err(error) => Err(self.fail("store an order", &error)),
        }
    }

    /// Returns an order; `None` if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::BlobPlace`].
    pub async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let doing = "read an order";
        let store = &self.connected().await?.store;
        let found = match store.get(&self.key(digest)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(|error| self.fail(doing, &error))?,
        };
        if found.meta.size > LIMIT_BYTES {
            let reason = format!("the order {digest} has more than {LIMIT_BYTES} bytes");
            return Err(failure::fail(&self.address, doing, BlobPlaceFault::AccessDenied, reason));
        }
        let bytes = found.bytes().await;
        let bytes = bytes.map_err(|error| self.fail(doing, &error))?;
        Ok(Some(bytes.to_vec()))
    }

    /// Removes an order; a missing one is no error.
    ///
    /// # Errors
    ///
    /// [`Error::BlobPlace`].
    pub async fn remove(&self, digest: &Digest) -> Result<(), Error> {
        self.delete(&self.key(digest)).await
    }

    /// Removes orders that were stored longer ago than `age`. Returns their number.
    ///
    /// # Errors
    ///
    /// [`Error::BlobPlace`].
    pub async fn remove_older(&self, age: Duration) -> Result<usize, Error> {
        let store = &self.connected().await?.store;
        let listed = store.list(Some(&self.folder)).try_collect::<Vec<ObjectMeta>>().await;
        let listed = listed.map_err(|error| self.fail("list orders", &error))?;
        // Objects are dated by the clock of the place.
        let clock = self.folder.clone().join(CLOCK);
        let asked = async {
            store.put(&clock, PutPayload::from_static(b"time")).await?;
            store.head(&clock).await
        };
        let asked = asked.await.map_err(|error| self.fail("ask for the time", &error))?;
        let now = SystemTime::from(asked.last_modified);
        let is_old = |object: &ObjectMeta| {
            let since = now.duration_since(SystemTime::from(object.last_modified));
            since.is_ok_and(|since| since > age)
        };
        let mut removed = 0;
        for object in listed.iter().filter(|object| is_old(object)) {
            self.delete(&object.location).await?;
            removed += 1;
        }
        Ok(removed)
    }

    async fn delete(&self, key: &Path) -> Result<(), Error> {
        match self.connected().await?.store.delete(key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.fail("remove an order", &error)),
        }
    }

    fn fail(&self, doing: &'static str, error: &object_store::Error) -> Error {
        failure::error(&self.address, doing, error)
    }

    async fn connected(&self) -> Result<&Connected, Error> {
        let open = || async { Connected::open(&self.address, &self.variables) };
        self.connected.get_or_try_init(open).await
    }

    fn key(&self, digest: &Digest) -> Path {
        self.folder.clone().join(digest.hex())
    }
}

impl fmt::Debug for PlacedOrders {
    /// Leaves out the variables: some are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlacedOrders").field("address", &self.address).finish_non_exhaustive()
    }
}
