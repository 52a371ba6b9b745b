//! Documents: records of a server beside runs, such as registered agents, schedules, keys and
//! deliveries.
//!
//! A document is JSON under a kind, a namespace and a key; it is changed by compare-and-set of its
//! revision, and can be found by its due time. A change can be part of the commit that admits a run
//! or appends to one, so that a schedule's slot and the run that it fires are committed together or
//! not at all. This crate does not interpret the JSON.

use async_trait::async_trait;
use errand_model::Timestamp;
use serde_json::Value;

use crate::Error;

/// Kind of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// A registered agent: its current version.
    Agent,
    /// A version of a registered agent; key `<agent>@<version>`.
    AgentVersion,
    /// Location of the archive of a parcel; key: the parcel's digest.
    Parcel,
    /// An API key, by its public part.
    ApiKey,
    /// A schedule that fires runs.
    Schedule,
    /// A hook: requests to it fire runs.
    Hook,
    /// Result of a request to a hook.
    HookDelivery,
    /// A report to be delivered.
    Callback,
    /// An attempt to deliver a report.
    CallbackDelivery,
    /// A destination of reports, with the results of recent deliveries.
    CallbackTarget,
    /// A worker: its resources and its runs.
    Worker,
    /// An entry of the audit log: an action of an administrator.
    Audit,
    /// A deadline of a run that has no supervisor: the end of its time in the queue, or of its wait
    /// for an answer. Key: the run's id.
    Deadline,
    /// Position of a pass over the terminal runs.
    Trail,
    /// A turn of a coordinator: news that it has to process; key `<coordinator>/<subject>`. Removed
    /// once it is processed.
    Turn,
    /// A message for a child of a coordinator that waits for it; key `<child>/<number>`. Removed
    /// once the child has it.
    Inbox,
    /// A task of a dispatcher: the run that carries it out. Key: the task's id.
    Task,
    /// Another id of a task; key `<run>/<task>`. Removed with the run.
    TaskAlias,
    /// A refused or withdrawn order for a task; key: the task's id. Due when it may be forgotten.
    TaskRefusal,
    /// A definition of the catalog: its current version; key `<kind>/<name>`.
    CatalogItem,
    /// A version of a definition of the catalog; key `<kind>/<name>@<version>`.
    CatalogVersion,
    /// The place in which the blobs are kept; key `place`. A registry in SQLite has a file instead.
    BlobPlace,
}

impl DocumentKind {
    /// The word under which the kind is stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::AgentVersion => "agent_version",
            Self::Parcel => "parcel",
            Self::ApiKey => "api_key",
            Self::Schedule => "schedule",
            Self::Hook => "hook",
            Self::HookDelivery => "hook_delivery",
            Self::Callback => "callback",
            Self::CallbackDelivery => "callback_delivery",
            Self::CallbackTarget => "callback_target",
            Self::Worker => "worker",
            Self::Audit => "audit",
            Self::Deadline => "deadline",
            Self::Trail => "trail",
            Self::Turn => "turn",
            Self::Inbox => "inbox",
            Self::Task => "task",
            Self::TaskAlias => "task_alias",
            Self::TaskRefusal => "task_refusal",
            Self::CatalogItem => "catalog_item",
            Self::CatalogVersion => "catalog_version",
            Self::BlobPlace => "blob_place",
        }
    }
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Kind of the document.
    pub kind: DocumentKind,
    /// Namespace; `None`: the default one.
    pub namespace: Option<String>,
    /// Name within kind and namespace.
    pub key: String,
    /// Revision, from 1; grows with each change.
    pub revision: u64,
    /// Time at which it is due; `None`: never.
    pub due_at: Option<Timestamp>,
    /// Content.
    pub body: Value,
}

/// A change of one document.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentWrite {
    /// Kind of the document.
    pub kind: DocumentKind,
    /// Namespace; `None`: the default one.
    pub namespace: Option<String>,
    /// Name of the document.
    pub key: String,
    /// Required present state.
    pub expect: Expect,
    /// State after the change.
    pub change: DocumentChange,
}

/// Required state of a document for a change to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Any state.
    Anything,
    /// No document.
    Absent,
    /// The document with that revision.
    Revision(u64),
}

/// State of a document after a change.
#[derive(Clone, Debug, PartialEq)]
pub enum DocumentChange {
    /// A document with this content; the revision is one more than before, or 1.
    Put {
        /// Content.
        body: Value,
        /// Time at which it is due; `None`: never.
        due_at: Option<Timestamp>,
    },
    /// No document.
    Remove,
}

/// Filter of namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// All namespaces.
    #[default]
    All,
    /// The given namespace; `None`: the default one.
    One(Option<String>),
}

/// Filter of documents.
#[derive(Clone, Debug)]
pub struct DocumentQuery {
    /// Kind of the documents.
    pub kind: DocumentKind,
    /// Namespaces of the documents.
    pub namespaces: Namespaces,
    /// Prefix of the keys.
    pub prefix: String,
    /// Order by (namespace, key).
    pub order: DocumentOrder,
    /// Documents after that namespace and key in the list; `None`: from the first on.
    pub after: Option<(Option<String>, String)>,
    /// Upper bound on the number of documents.
    pub limit: u32,
}

/// Order of a list of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentOrder {
    /// The smallest namespace and key first; the default namespace before all others.
    Ascending,
    /// The largest first.
    Descending,
}

/// Documents of a [`crate::Store`].
#[async_trait]
pub trait DocumentStore {
    /// Makes all changes in one commit, or none of them.
    ///
    /// # Errors
    ///
    /// [`Error::DocumentChanged`] for the first document that is not in the expected state.
    async fn write_documents(&self, writes: Vec<DocumentWrite>) -> Result<(), Error>;

    /// Reads one document; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn document(
        &self,
        kind: DocumentKind,
        namespace: Option<&str>,
        key: &str,
    ) -> Result<Option<Document>, Error>;

    /// Lists documents by namespace and key.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn documents(&self, query: &DocumentQuery) -> Result<Vec<Document>, Error>;

    /// Lists documents of all namespaces that are due by `now`, the longest due first, at most
    /// `limit`.
    ///
    /// # Errors
    ///
    /// Errors of the database only.
    async fn due_documents(
        &self,
        kind: DocumentKind,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Document>, Error>;
}
