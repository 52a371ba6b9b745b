//! Arrival of parcels that were built on other machines.
//!
//! Only the digest of a received manifest is trusted: its author may have listed paths that leave
//! the folder.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use errand_model::Digest;

use super::error::Error;
use super::kept::renew;
use super::manifest::{Content, Manifest, ParcelFile};
use super::pack::{CHUNK_BYTES, read_through};
use super::publish::{
    EXECUTABLE, READABLE, lock, make_folder, put_in_place, sync_folder, sync_tree, unfinished_name,
};
use super::stored::{is_published, path_of};
use super::survey::stays_inside;
use super::{DEFINITION, FILES, MANIFEST, MAX_FILES};

/// Content list of a received parcel.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Digest of the parcel.
    pub digest: Digest,
    /// Digest of its definition.
    pub definition: Digest,
    /// Files and links, by the bytes of their paths.
    pub files: Vec<ParcelFile>,
    manifest_json: Vec<u8>,
}

impl Listing {
    /// Reads the manifest of the parcel `digest`.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if it has another digest, cannot be parsed, or lists a path or a link
    /// that leaves the parcel.
    pub fn read(manifest_json: Vec<u8>, digest: &Digest) -> Result<Self, Error> {
        let damaged = |reason: String| Error::Damaged { digest: digest.clone(), reason };
        if Digest::of(&manifest_json) != *digest {
            return Err(damaged(format!("{MANIFEST} was changed")));
        }
        let manifest: Manifest = serde_json::from_slice(&manifest_json)
            .map_err(|error| damaged(format!("{MANIFEST} cannot be read: {error}")))?;
        if manifest.schema != Manifest::SCHEMA {
            let reason = format!("it was built by another errand (schema {})", manifest.schema);
            return Err(damaged(reason));
        }
        if manifest.files.len() > MAX_FILES {
            return Err(damaged(format!("it has more than {MAX_FILES} files")));
        }
        let mut links = BTreeSet::new();
        for file in &manifest.files {
            let path = Path::new(&file.path);
            let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
            let is_below_link = path.ancestors().skip(1).any(|above| links.contains(above));
            if !is_plain || file.path.is_empty() || is_below_link {
                return Err(damaged(format!("the path {:?} leaves it", file.path)));
            }
            if let Content::Link { target } = &file.content {
                if !stays_inside(path, Path::new(target)) {
                    return Err(damaged(format!("the link {:?} leaves it", file.path)));
                }
                links.insert(path.to_owned());
            }
        }
        let Manifest { definition, files, .. } = manifest;
        Ok(Self { digest: digest.clone(), definition, files, manifest_json })
    }
}

/// A parcel in transfer. Dropped unfinished, it is removed.
#[derive(Debug)]
pub struct IncomingParcel {
    listing: Listing,
    parcels_root: PathBuf,
    unfinished: PathBuf,
    left: BTreeSet<String>,
    _lock: File,
}

impl IncomingParcel {
    /// Begins the transfer of a parcel; `None` if it is there already.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if the definition has another digest; [`Error::Io`].
    pub fn begin(
        parcels_root: &Path,
        listing: Listing,
        definition_json: &[u8],
    ) -> Result<Option<Self>, Error> {
        let path = path_of(parcels_root, &listing.digest);
        if Digest::of(definition_json) != listing.definition {
            let reason = format!("{DEFINITION} was changed");
            return Err(Error::Damaged { digest: listing.digest, reason });
        }
        if is_published(&path)? && renew(parcels_root, &listing.digest)? {
            return Ok(None);
        }
        make_folder(parcels_root).map_err(Error::io("create", parcels_root))?;
        let lock = lock(parcels_root)?;
        let unfinished = parcels_root.join(unfinished_name().map_err(Error::io("name", &path))?);
        let files = unfinished.join(FILES);
        make_folder(&files).map_err(Error::io("create", &files))?;
        let left = listing.files.iter().map(|file| file.path.clone()).collect();
        let parcels_root = parcels_root.to_owned();
        let arrival = Self { listing, parcels_root, unfinished, left, _lock: lock };
        arrival.write(DEFINITION, definition_json)?;
        arrival.write(MANIFEST, &arrival.listing.manifest_json)?;
        Ok(Some(arrival))
    }

    /// Receives one of its files; a link has no bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if it is not part of the parcel or has another content; [`Error::Io`].
    pub fn file(&mut self, path: &str, from: &mut impl Read) -> Result<(), Error> {
        let damaged = |what: &str| Error::Damaged {
            digest: self.listing.digest.clone(),
            reason: format!("{path} {what}"),
        };
        let listed = self.listing.files.iter().find(|file| file.path == path);
        let Some(file) = listed.filter(|_| self.left.remove(path)) else {
            return Err(damaged("is not part of it"));
        };
        let to = self.unfinished.join(FILES).join(path);
        if let Some(folder) = to.parent() {
            make_folder(folder).map_err(Error::io("create", folder))?;
        }
        match &file.content {
            Content::Link { target } => {
                std::os::unix::fs::symlink(target, &to).map_err(Error::io("create the link", &to))
            }
            Content::File { size_bytes, executable, digest } => {
                let mode = if *executable { EXECUTABLE } else { READABLE };
                let mut out = create(&to, mode)?;
                let mut chunk = vec![0; CHUNK_BYTES];
                let copied =
                    read_through(from, *size_bytes, &mut chunk, |part| out.write_all(part))
                        .map_err(Error::io("copy", &to))?;
                if copied.as_ref() != Some(digest) {
                    return Err(damaged("was changed"));
                }
                finish(&out, &to, mode)
            }
        }
    }

    /// Completes the parcel: it is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if a file is missing; [`Error::Io`].
    pub fn finish(self) -> Result<(), Error> {
        if let Some(missing) = self.left.first() {
            let reason = format!("{missing} is missing");
            return Err(Error::Damaged { digest: self.listing.digest.clone(), reason });
        }
        sync_tree(&self.unfinished)?;
        put_in_place(&self.unfinished, &path_of(&self.parcels_root, &self.listing.digest))?;
        sync_folder(&self.parcels_root)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.unfinished.join(name);
        let mut file = create(&path, READABLE)?;
        file.write_all(bytes).map_err(Error::io("write", &path))?;
        finish(&file, &path, READABLE)
    }
}

impl Drop for IncomingParcel {
    fn drop(&mut self) {
        // In most cases it does not exist any more.
        drop(fs::remove_dir_all(&self.unfinished));
    }
}

fn create(path: &Path, mode: u32) -> Result<File, Error> {
    let mut options = File::options();
    options.create_new(true).write(true).mode(mode).open(path).map_err(Error::io("create", path))
}

fn finish(file: &File, path: &Path, mode: u32) -> Result<(), Error> {
    file.set_permissions(Permissions::from_mode(mode)).map_err(Error::io("protect", path))?;
    file.sync_all().map_err(Error::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &serde_json::Value) -> Result<Listing, Error> {
        let manifest = serde_json::json!({
            "schema": 1, "definition": Digest::of(b"{}"), "files": files,
        });
        let text = manifest.to_string().into_bytes();
        let digest = Digest::of(&text);
        Listing::read(text, &digest)
    }

    fn file(path: &str) -> serde_json::Value {
        let content = serde_json::json!({
            "file": { "size_bytes": 1, "executable": false, "digest": Digest::of(b"x") },
        });
        serde_json::json!({ "path": path, "content": content })
    }

    fn link(path: &str, target: &str) -> serde_json::Value {
        serde_json::json!({ "path": path, "content": { "link": { "target": target } } })
    }

    #[test]
    fn a_received_manifest_cannot_name_paths_outside_of_the_parcel() {
        let good = serde_json::json!([file("a/b"), link("c", "a/b")]);
        assert_eq!(listing(&good).unwrap().files.len(), 2);
        for bad in [
            serde_json::json!([file("../x")]),
            serde_json::json!([file("/etc/x")]),
            serde_json::json!([file("")]),
            serde_json::json!([file("a/../../x")]),
            serde_json::json!([link("a", "/etc")]),
            serde_json::json!([link("a", "../../x")]),
            serde_json::json!([link("a", "b"), file("a/x")]),
        ] {
            let refused = listing(&bad);
            assert!(matches!(refused, Err(Error::Damaged { .. })), "{bad}: {refused:?}");
        }
        let other = Listing::read(b"{}".to_vec(), &Digest::of(b"other"));
        assert!(matches!(other, Err(Error::Damaged { .. })), "{other:?}");
    }
}
