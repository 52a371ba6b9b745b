//! Storage of runs: the journal, its projections, leases, the queue, requests, blobs.
//!
//! [`Store`] is the interface; SQLite in a folder and PostgreSQL for many machines implement it,
//! and one conformance suite tests both. Each method is one atomic step; no transaction leaves this
//! crate. Deliberately absent: rules about runs. The model decides; this crate stores.

mod blob;
mod blob_place;
mod change;
mod check;
mod dead_letter;
mod document;
mod error;
mod fence;
pub mod files;
mod final_snapshot;
mod journal_file;
mod layered;
mod names;
mod observer;
mod ownership;
pub mod postgres;
mod private_file;
mod problem;
mod projection;
mod question;
mod rebuild;
mod reference;
mod registry;
mod removed_sessions;
mod row;
mod session;
mod shared;
pub mod sqlite;
mod stored_fold;
mod traits;
mod usage;
mod verify;

pub use blob::{BlobError, Blobs, KeptBlob};
pub use blob_place::BlobPlaceRecord;
pub use change::{Changes, StoreChange};
pub use check::{Repair, check, verify_run};
pub use dead_letter::{DeadLetterFate, DeadLetterFilter, Discard, StoredDeadLetter};
pub use document::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentStore,
    DocumentWrite, Expect, Namespaces,
};
pub use error::{BlobPlaceFault, Error};
pub use final_snapshot::{FinalSnapshot, SnapshotError};
pub use journal_file::JournalFile;
pub use names::{Name, NameStore, blobs_of, digests_in, names_of};
pub use observer::ChangeObserver;
pub use ownership::{ForeignFile, ForeignReason};
pub use problem::{CheckReport, StoreProblem};
pub use question::{Questions, StoredQuestion};
pub use rebuild::rebuild;
pub use registry::{FOLDER, Registry, RegistryError, SOCKET_PATH_LIMIT_BYTES};
pub use removed_sessions::RemovedSessions;
pub use row::{
    Admission, Admitted, Append, Appended, Claim, Evidence, Fence, Filter, Holder, Lease, Page,
    Pending, QueuedCount, Renewed, Stored, StoredBomGeneration, StoredRequest, UnfinishedCounts,
};
pub use session::{
    MESSAGES_PER_SESSION, RESULTS_PER_SESSION, ResultLookup, Session, SessionPage, SessionResult,
    SessionState, SessionStore, SessionTurn, StoredSessionMessage,
};
pub use shared::{
    LOG_BYTES, LOG_PART_BYTES, LogPart, ReadSeek, SharedBlob, SharedBlobs, SharedLogs,
};
pub use traits::{Removal, Store};
pub use usage::{
    DayReservation, DayReserved, DayStanding, HOLDERS_LIMIT, UsageBy, UsageFilter, UsageRow,
    UsageTotals,
};
pub use verify::{VerifiedJournal, verify};
