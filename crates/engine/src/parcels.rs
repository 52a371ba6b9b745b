//! Parcels shared with workers on other machines.
//!
//! A parcel is shared in parts: its manifest, whose name is the parcel's digest, its definition,
//! and its files, each as a blob. Parts that two versions of an agent have in common are stored
//! once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Cursor;
use std::sync::Arc;

use errand_agent::parcel::{self, Content, IncomingParcel, Listing, Parcel};
use errand_model::Digest;
use errand_store::{BlobError, SharedBlobs};

use crate::Engine;
use crate::error::{BlobFailure, IoFailure, operation_error};

operation_error! {
    /// Error: a parcel cannot be fetched or shared.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A blob cannot be stored or read.
        Blob(BlobFailure) from BlobError,
        /// A parcel is missing or damaged.
        Parcel(parcel::Error),
        /// A file or process operation failed.
        Io(IoFailure),
    }
}

/// Shares a parcel if the store shares blobs. One that is shared already is left alone.
///
/// # Errors
///
/// If the parcel cannot be read, or the shared blobs cannot be reached.
pub(crate) fn share(engine: &Engine, parcel: &Parcel) -> Result<(), Error> {
    let Some(shared) = fleet_blobs(engine) else { return Ok(()) };
    if engine.is_shared(&parcel.digest) {
        return Ok(());
    }
    // Parcels that it names come first.
    for digest in parcel.agent.named_agents().filter_map(|member| member.digest.as_ref()) {
        share(engine, &open(engine, digest)?)?;
    }
    let (mut names, files) = (BTreeSet::from([parcel.digest.clone()]), parcel.files_path());
    let contents = parcel.files.iter().filter_map(|file| match &file.content {
        Content::File { digest, .. } => Some((digest, &file.path)),
        Content::Link { .. } => None,
    });
    names.extend(contents.clone().map(|(digest, _)| digest.clone()));
    // All parts are renewed: nothing names them yet, and they may have been shared long ago.
    let found = shared.touch(&names)?;
    for (digest, path) in contents.filter(|(digest, _)| !found.contains(*digest)) {
        let path = files.join(path);
        let mut from = File::open(&path).map_err(IoFailure::of("read", path))?;
        shared.put(digest, &mut from)?;
    }
    // The manifest goes last: if it is there, the whole parcel is.
    for name in [parcel::DEFINITION, parcel::MANIFEST] {
        let path = parcel.path.join(name);
        let bytes = std::fs::read(&path).map_err(IoFailure::of("read", path))?;
        shared.put(&Digest::of(&bytes), &mut Cursor::new(bytes))?;
    }
    engine.note_shared(&parcel.digest);
    Ok(())
}

/// Opens a parcel, fetching it if it was packed on another machine.
///
/// # Errors
///
/// As [`fetch`]; if the parcel is neither here nor shared.
pub(crate) fn open(engine: &Engine, digest: &Digest) -> Result<Parcel, Error> {
    fetch(engine, digest)?;
    Ok(parcel::open(&engine.registry().parcels(), digest)?)
}

/// Copies a shared parcel to this machine. One that is here is left alone; one that is not shared
/// is no error here: opening it fails.
///
/// # Errors
///
/// If the shared blobs cannot be reached or are damaged, or the parcel cannot be written.
pub(crate) fn fetch(engine: &Engine, digest: &Digest) -> Result<(), Error> {
    let Some(shared) = fleet_blobs(engine) else { return Ok(()) };
    let parcels = engine.registry().parcels();
    if parcel::open(&parcels, digest).is_ok() {
        return Ok(());
    }
    let Some(manifest) = bytes(shared.as_ref(), digest)? else { return Ok(()) };
    let listing = Listing::read(manifest, digest)?;
    let missing = |digest: &Digest| BlobError::Missing { digest: digest.clone() };
    let definition =
        bytes(shared.as_ref(), &listing.definition)?.ok_or_else(|| missing(&listing.definition))?;
    let files = listing.files.clone();
    let Some(mut arrival) = IncomingParcel::begin(&parcels, listing, &definition)? else {
        return Ok(());
    };
    let blobs = engine.blobs();
    for file in files {
        match &file.content {
            Content::File { digest, .. } => {
                let (mut from, _) = blobs.open(digest)?;
                arrival.file(&file.path, &mut from)?;
            }
            Content::Link { .. } => arrival.file(&file.path, &mut std::io::empty())?,
        }
    }
    Ok(arrival.finish()?)
}

/// Returns the blobs through which machines share parcels; `None` if there is one machine.
fn fleet_blobs(engine: &Engine) -> Option<Arc<dyn SharedBlobs>> {
    engine.store().shared_blobs().filter(|_| engine.is_of_fleet())
}

fn bytes(shared: &dyn SharedBlobs, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
    let mut bytes = Vec::new();
    Ok(shared.get(digest, &mut bytes)?.then_some(bytes))
}
