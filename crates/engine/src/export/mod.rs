//! A run in one file: its journal, and everything that the journal stands on.
//!
//! A tar archive that is the same, byte for byte, for the same run on every machine. Its entries, in
//! the order of their names, and `manifest.json` (the digests of all others) behind them:
//!
//! - `blobs/<hex>`: every blob that the journal names: long payloads, checkpoints, artifacts, bom
//! - `brief.json`: what the agent was given at boot, where it was
//! - `events.jsonl`: the journal
//! - `log`, `log.<n>`: what the run printed
//! - `parcel/…`: the agent as it was
//! - `record.json`: the record, as the journal gives it
//!
//! Of a coordinator there is also all of its family, the runs that it started, however deep:
//!
//! - `parcels/<hex>/…`: the other agents, each once
//! - `runs/<id>/…`: of each run what stands above of the one at the top
//!
//! Deliberately absent: sessions, which belong to other runs too; secrets; workspaces.

mod archive;
mod check;
mod error;
mod family;
mod import;
mod journal;
mod manifest;
mod place;
mod read;
mod verify;
mod write;

pub use error::FileError;
pub use import::{Imported, import};
pub use manifest::{EXPORT_SCHEMA, FAMILY_SCHEMA};
pub use verify::verify_file;
pub use write::{Wanted, write, write_file};

/// The entries' names.
const BLOBS: &str = "blobs/";
const BRIEF: &str = "brief.json";
const EVENTS: &str = "events.jsonl";
const LOG: &str = "log";
const MANIFEST: &str = "manifest.json";
const PARCEL: &str = "parcel/";
const PARCELS: &str = "parcels/";
const RECORD: &str = "record.json";
const RUNS: &str = "runs/";
