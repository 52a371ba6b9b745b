//! Export of a run to one file: its journal and everything that the journal refers to.
//!
//! A tar archive that is the same, byte for byte, for the same run on every machine. Its entries,
//! in the order of their names, followed by `manifest.json` with the digests of all others:
//!
//! - `blobs/<hex>`: every blob that the journal names: long payloads, checkpoints, artifacts, bom
//! - `brief.json`: the brief that the agent was given at boot, if there was one
//! - `events.jsonl`: the journal
//! - `log`, `log.<n>`: output of the run
//! - `parcel/…`: the agent's parcel
//! - `record.json`: the record, as the journal gives it
//!
//! For a coordinator also its descendants:
//!
//! - `parcels/<hex>/…`: the other agents, each once
//! - `runs/<id>/…`: for each descendant the entries listed above
//!
//! Deliberately absent: sessions, which belong to other runs too; secrets; workspaces.

mod archive;
mod check;
mod error;
mod family;
mod fault;
mod import;
mod journal;
mod manifest;
mod options;
mod place;
mod read;
mod verify;
mod write;

pub use error::{ChildRemoved, FileError};
pub use import::{Imported, import};
pub use manifest::{EXPORT_SCHEMA, FAMILY_SCHEMA};
pub use options::Wanted;
pub use verify::verify_file;
pub use write::{write, write_file};

/// Names, and prefixes of names, of the entries.
const BLOBS: &str = "blobs/";
const BRIEF: &str = "brief.json";
const EVENTS: &str = "events.jsonl";
const LOG: &str = "log";
const MANIFEST: &str = "manifest.json";
const PARCEL: &str = "parcel/";
const PARCELS: &str = "parcels/";
const RECORD: &str = "record.json";
const RUNS: &str = "runs/";
