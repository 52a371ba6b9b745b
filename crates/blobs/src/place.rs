//! Blobs of one registry in a place.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use errand_model::Digest;
use errand_store::{BlobPlaceFault, BlobPlaceRecord, Error};
use object_store::{ObjectStore, ObjectStoreExt as _};

use crate::address::BlobAddress;
use crate::connect::Connected;
use crate::driver::Driver;
use crate::failure;
use crate::generation::{Keys, Listed};
use crate::transfer::{self, TransferError};

/// Age up to which a generation need not be renewed. Much shorter than any grace period of a
/// collector (ten minutes and more), less the time for which its caller counts it as renewed.
const RENEW_AFTER: Duration = Duration::from_mins(5);
/// Blobs remembered as young.
const REMEMBERED: usize = 10_000;
/// Time after which the clock of the place is asked again.
const CLOCK_FOR: Duration = Duration::from_mins(10);

/// Blobs of one registry in a folder or in S3. Cheap to make: the place is asked first when a blob is
/// needed.
pub struct PlacedBlobs {
    pub(crate) address: BlobAddress,
    pub(crate) keys: Keys,
    /// Variables with keys and addresses of S3.
    variables: BTreeMap<String, String>,
    pub(crate) driver: Driver,
    connected: OnceLock<Connected>,
    /// Blobs that have a young generation, with the time when it was made.
    pub(crate) young: Mutex<BTreeMap<Digest, Instant>>,
    /// Time of the place at a moment of this process.
    clock: Mutex<Option<(Instant, SystemTime)>>,
    /// Generations that the last list of blobs has seen, with their ages at that time.
    pub(crate) seen: Mutex<BTreeMap<Digest, Vec<(Listed, Duration)>>>,
    /// Age from which a generation is renewed.
    pub(crate) renew_after: Duration,
}

impl PlacedBlobs {
    /// Returns the blobs of the registry that made this record. `environment` has the variables of
    /// S3.
    ///
    /// # Errors
    ///
    /// [`Error::BlobPlace`] for an address that this program cannot read.
    pub fn new(
        record: &BlobPlaceRecord,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Result<Self, Error> {
        let address = BlobAddress::parse(&record.place, std::path::Path::new("/"));
        let address = address.map_err(|error| Error::BlobPlace {
            fault: BlobPlaceFault::AddressInvalid,
            place: error.text.clone(),
            doing: "keep blobs",
            reason: error.reason,
        })?;
        let prefix = match &address {
            BlobAddress::Folder(_) => "",
            BlobAddress::Bucket { prefix, .. } => prefix,
        };
        let keys = Keys::new(prefix, &record.folder);
        let of_s3 = |(name, value): (&OsString, &OsString)| {
            let (name, value) = (name.to_str()?, value.to_str()?);
            (is_variable_of_s3(name) && !value.is_empty())
                .then(|| (name.to_owned(), value.to_owned()))
        };
        Ok(Self {
            address,
            keys,
            variables: environment.iter().filter_map(of_s3).collect(),
            driver: Driver::default(),
            connected: OnceLock::new(),
            young: Mutex::default(),
            clock: Mutex::default(),
            seen: Mutex::default(),
            renew_after: RENEW_AFTER,
        })
    }

    /// Renews generations from that age on, for a collector with another grace period.
    #[must_use]
    pub fn renewing_after(self, age: Duration) -> Self {
        Self { renew_after: age, ..self }
    }

    /// Takes the folder of the record for its registry: to be called once, before the record is
    /// kept.
    ///
    /// # Errors
    ///
    /// As [`errand_store::SharedBlobs::put`].
    pub fn claim(&self, owner: &str) -> Result<(), Error> {
        let doing = "make a folder";
        if let BlobAddress::Folder(path) = &self.address {
            make_folder(path).map_err(|error| self.local(doing, &error))?;
        }
        let connected = self.connect()?;
        let put = transfer::put_new(
            &self.driver,
            &connected.store,
            &self.keys.owner(),
            owner.as_bytes().to_vec(),
        );
        put.map_err(|error| self.error(doing, error))?;
        drop(self.connected.set(connected));
        Ok(())
    }

    /// Asks the place whether it has this registry's folder, and may be read.
    ///
    /// # Errors
    ///
    /// As [`errand_store::SharedBlobs::put`].
    pub fn check(&self) -> Result<(), Error> {
        self.connected().map(drop)
    }

    /// Connects, and looks for the folder: a disk that is not mounted, or another bucket of that
    /// name, must not look like a place without blobs.
    pub(crate) fn connected(&self) -> Result<&Connected, Error> {
        if let Some(connected) = self.connected.get() {
            return Ok(connected);
        }
        let connected = self.connect()?;
        let owner = self.keys.owner();
        let mut note = Vec::new();
        let found = transfer::get(&self.driver, &connected.store, &owner, &mut note);
        match found.map_err(|error| self.error("look for blobs", error))? {
            true => Ok(self.connected.get_or_init(|| connected)),
            false => {
                let reason = format!("{owner} is not there, which this registry wrote");
                let fault = BlobPlaceFault::FolderMissing;
                Err(failure::fail(&self.address, "look for blobs", fault, reason))
            }
        }
    }

    fn connect(&self) -> Result<Connected, Error> {
        Connected::open(&self.address, &self.variables)
    }

    pub(crate) fn store(&self) -> Result<&Arc<dyn ObjectStore>, Error> {
        Ok(&self.connected()?.store)
    }

    pub(crate) fn error(&self, doing: &'static str, error: TransferError) -> Error {
        match error {
            TransferError::Local(source) => {
                Error::File { doing: "copy", path: "a blob".into(), source }
            }
            TransferError::Place(error) => failure::error(&self.address, doing, &error),
        }
    }

    pub(crate) fn local(&self, doing: &'static str, error: &std::io::Error) -> Error {
        let fault = if failure::is_denied(error) {
            BlobPlaceFault::AccessDenied
        } else {
            BlobPlaceFault::AddressInvalid
        };
        failure::fail(&self.address, doing, fault, error.to_string())
    }

    /// Runs a request on the thread.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.driver.block(work).map_err(TransferError::Local);
        let done = done.and_then(|done| done.map_err(TransferError::Place));
        done.map_err(|error| self.error(doing, error))
    }

    /// Returns the present time of the place, by which its objects are dated.
    pub(crate) fn now(&self) -> Result<SystemTime, Error> {
        let mut known = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, time)) = *known
            && at.elapsed() < CLOCK_FOR
        {
            return Ok(time + at.elapsed());
        }
        let (store, key) = (Arc::clone(self.store()?), self.keys.clock());
        let at = Instant::now();
        let object = self.ask("ask for the time", async move {
            store.put(&key, b"time"[..].into()).await?;
            store.head(&key).await
        })?;
        let time = SystemTime::from(object.last_modified);
        *known = Some((at, time));
        Ok(time + at.elapsed())
    }

    pub(crate) fn is_young(&self, digest: &Digest) -> bool {
        let young = self.young.lock().unwrap_or_else(PoisonError::into_inner);
        young.get(digest).is_some_and(|at| at.elapsed() < self.renew_after)
    }

    pub(crate) fn note_young(&self, digest: &Digest, at: Instant) {
        let mut young = self.young.lock().unwrap_or_else(PoisonError::into_inner);
        if young.len() >= REMEMBERED {
            young.clear();
        }
        young.insert(digest.clone(), at);
    }
}

impl fmt::Debug for PlacedBlobs {
    /// Leaves out the variables: some are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlacedBlobs").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Returns true for a variable that says how S3 is reached.
pub fn is_variable_of_s3(name: &str) -> bool {
    name.starts_with("AWS_")
}

/// Creates a folder for blobs; the one that it is in must exist.
fn make_folder(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}
