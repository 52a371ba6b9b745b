//! What a server keeps beside runs: registered agents, schedules, keys, deliveries.
//!
//! One small mechanism for all of them: JSON by kind, namespace and key, changed by comparing and
//! setting its revision, and found when it is due. A change can be part of the commit that admits a
//! run or appends to one, so that a schedule's slot and the run it fires happen together or not at
//! all. What the JSON means is its owner's business.

use async_trait::async_trait;
use errand_model::Timestamp;
use serde_json::Value;

use crate::Error;

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// A registered agent: which of its versions is the current one.
    Agent,
    /// One version of a registered agent; `<agent>@<version>`.
    AgentVersion,
    /// Where the archive of a parcel is; the parcel's digest.
    Parcel,
    /// An API key, by its public part.
    ApiKey,
    /// A schedule that fires runs.
    Schedule,
    /// A hook: requests to it fire runs.
    Hook,
    /// What became of a request to a hook.
    HookDelivery,
    /// A report that is to be delivered.
    Callback,
    /// A try to deliver a report.
    CallbackDelivery,
    /// Where reports go, and how that went lately.
    CallbackTarget,
    /// A worker: what it has and does.
    Worker,
    /// What an administrator did.
    Audit,
    /// A run in which something is due that nobody supervises: it is out of time in the queue, or an
    /// answer that it waits for is. The run's id.
    Deadline,
    /// How far something went through the runs that are over.
    Trail,
    /// What a coordinator is to hear: `<coordinator>/<what it is about>`. Gone once it heard it.
    Turn,
    /// A message for a child of a coordinator that waits for it: `<child>/<number>`. Gone once the
    /// child has it.
    Inbox,
}

impl DocumentKind {
    /// The word under which it is kept.
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
        }
    }
}

/// A document as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it is about.
    pub kind: DocumentKind,
    /// Whose it is; `None`: the default namespace's.
    pub namespace: Option<String>,
    /// Its name within kind and namespace.
    pub key: String,
    /// From 1; grows with each change.
    pub revision: u64,
    /// When somebody has to look at it; `None`: never.
    pub due_at: Option<Timestamp>,
    /// What it says.
    pub body: Value,
}

/// A change of one document.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentWrite {
    /// What it is about.
    pub kind: DocumentKind,
    /// Whose it is.
    pub namespace: Option<String>,
    /// Its name.
    pub key: String,
    /// What has to be there.
    pub expect: Expect,
    /// What is there afterwards.
    pub change: DocumentChange,
}

/// What has to be there for a change to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Whatever there is.
    Anything,
    /// Nothing.
    Absent,
    /// The document with that revision.
    Revision(u64),
}

/// What is there after a change.
#[derive(Clone, Debug, PartialEq)]
pub enum DocumentChange {
    /// This; its revision is one more than before, or 1.
    Put {
        /// What it says.
        body: Value,
        /// When somebody has to look at it.
        due_at: Option<Timestamp>,
    },
    /// Nothing.
    Remove,
}

/// Whose things are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// Everyone's.
    #[default]
    All,
    /// One namespace's; `None`: the default one's.
    One(Option<String>),
}

/// Which documents to list.
#[derive(Clone, Debug)]
pub struct DocumentQuery {
    /// What they are about.
    pub kind: DocumentKind,
    /// Whose.
    pub namespaces: Namespaces,
    /// Only keys that begin with it.
    pub prefix: String,
    /// In which order of (namespace, key).
    pub order: DocumentOrder,
    /// Those after that namespace and key in the list; `None`: from the first on.
    pub after: Option<(Option<String>, String)>,
    /// At most so many.
    pub limit: u32,
}

/// How documents are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentOrder {
    /// The smallest namespace and key first; the default namespace before all others.
    Ascending,
    /// The largest first.
    Descending,
}

/// What a [`crate::Store`] knows of documents.
#[async_trait]
pub trait DocumentStore {
    /// Makes all changes in one commit, or none of them.
    ///
    /// # Errors
    ///
    /// [`Error::DocumentChanged`] for the first document that is not what was expected.
    async fn write_documents(&self, writes: Vec<DocumentWrite>) -> Result<(), Error>;

    /// One document; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn document(
        &self,
        kind: DocumentKind,
        namespace: Option<&str>,
        key: &str,
    ) -> Result<Option<Document>, Error>;

    /// Documents by namespace and key.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn documents(&self, query: &DocumentQuery) -> Result<Vec<Document>, Error>;

    /// Documents of all namespaces that are due by `now`, the longest due first, at most `limit`.
    ///
    /// # Errors
    ///
    /// Only those that any method has.
    async fn due_documents(
        &self,
        kind: DocumentKind,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Document>, Error>;
}
