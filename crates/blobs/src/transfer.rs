//! Transfer of bytes between a blocking caller and the thread that talks to the place.

use std::io::{Read as _, SeekFrom, Write};
use std::sync::Arc;

use errand_store::ReadSeek;
use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};

use crate::driver::Driver;

/// Length of a part of a long object: bounds the memory for a transfer.
const PART_BYTES: u64 = 8 * 1024 * 1024;

/// Error: bytes did not get to the place, or from there.
#[derive(Debug)]
pub(crate) enum TransferError {
    /// Local bytes cannot be read or written, or there is no thread.
    Local(std::io::Error),
    /// Error of the place.
    Place(object_store::Error),
}

impl From<std::io::Error> for TransferError {
    fn from(error: std::io::Error) -> Self {
        Self::Local(error)
    }
}

impl From<object_store::Error> for TransferError {
    fn from(error: object_store::Error) -> Self {
        Self::Place(error)
    }
}

/// Stores all bytes of `from` under a key that nothing else uses.
pub(crate) fn put(
    driver: &Driver,
    store: &Arc<dyn ObjectStore>,
    key: &Path,
    from: &mut dyn ReadSeek,
) -> Result<(), TransferError> {
    let length = from.seek(SeekFrom::End(0))?;
    from.seek(SeekFrom::Start(0))?;
    if length > PART_BYTES {
        return put_parts(driver, store, key, from);
    }
    put_new(driver, store, key, part(from)?)
}

/// Stores bytes under a key, unless it exists: an earlier try of the same call may have made it.
pub(crate) fn put_new(
    driver: &Driver,
    store: &Arc<dyn ObjectStore>,
    key: &Path,
    bytes: Vec<u8>,
) -> Result<(), TransferError> {
    let (store, key) = (Arc::clone(store), key.clone());
    let put = async move {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&key, PutPayload::from(bytes), options).await
    };
    match driver.block(put)? {
        Ok(_)
        | Err(
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. },
        ) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn put_parts(
    driver: &Driver,
    store: &Arc<dyn ObjectStore>,
    key: &Path,
    from: &mut dyn ReadSeek,
) -> Result<(), TransferError> {
    let (store, key) = (Arc::clone(store), key.clone());
    let begun = driver.block(async move { store.put_multipart(&key).await })?;
    let mut upload = begun?;
    match send_parts(driver, &mut upload, from) {
        Ok(()) => {
            let completed = driver.block(async move { upload.complete().await })?;
            completed?;
            Ok(())
        }
        Err(error) => {
            // The first error is the one to report; a rule of the bucket removes what is left.
            drop(driver.block(async move { upload.abort().await }));
            Err(error)
        }
    }
}

fn send_parts(
    driver: &Driver,
    upload: &mut Box<dyn MultipartUpload>,
    from: &mut dyn ReadSeek,
) -> Result<(), TransferError> {
    loop {
        let bytes = part(from)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let sent = upload.put_part(PutPayload::from(bytes));
        driver.block(sent)??;
    }
}

fn part(from: &mut dyn ReadSeek) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::Read::take(from, PART_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes an object to `to`. Returns false if there is none; nothing was written then.
pub(crate) fn get(
    driver: &Driver,
    store: &Arc<dyn ObjectStore>,
    key: &Path,
    to: &mut dyn Write,
) -> Result<bool, TransferError> {
    let (store, key) = (Arc::clone(store), key.clone());
    let mut stream = match driver.block(async move { store.get(&key).await })? {
        Ok(found) => found.into_stream(),
        Err(object_store::Error::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    loop {
        let next = async move {
            let piece = stream.next().await;
            (stream, piece)
        };
        let (rest, piece) = driver.block(next)?;
        let Some(piece) = piece else { return Ok(true) };
        to.write_all(&piece?)?;
        stream = rest;
    }
}
