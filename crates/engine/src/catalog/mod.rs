//! The catalog of a registry: shared definitions, each with numbered versions.
//!
//! A definition has one document that names its current version, and one document for each version;
//! manifests are blobs. Every change compares the documents that it read, those of the definitions
//! that it refers to included, so that no version is lost and no reference leads nowhere. Beside the
//! database, manifests may be files (`files`); those are only read.
//!
//! Deliberately absent: kinds. They are types of `errand_api::catalog`, and nothing here knows one.

mod apply;
mod error;
mod files;
mod find;
mod folder;
mod pins;
mod remove;
mod stored;
mod users;

pub use apply::{apply, changes};
pub use error::{CatalogProblem, Error};
pub use find::{get, known_names, list};
pub use folder::{ReadFolder, read_path};
pub use pins::check_names;
pub use remove::remove;

pub(crate) use find::all;
pub(crate) use pins::{FiledCatalog, manifest_of, pin};
pub(crate) use users::{touched, used_by};
