//! Changes of documents, alone or together with a run.

use std::collections::BTreeMap;

use async_trait::async_trait;
use errand_model::Timestamp;

use super::Operation;
use crate::change::of_documents;
use crate::document::{DocumentChange, DocumentWrite, Expect};
use crate::postgres::db::{Answer, Db, Step, Value};
use crate::postgres::failure::Failure;
use crate::postgres::row::number;
use crate::postgres::text::indexed;
use crate::{Error, StoreChange};

/// [`crate::DocumentStore::write_documents`].
pub(in crate::postgres) struct WriteDocuments(pub(in crate::postgres) Vec<DocumentWrite>);

#[async_trait]
impl Operation for WriteDocuments {
    type Output = ();

    const DOING: &'static str = "writes documents";

    fn locks(&self) -> Vec<String> {
        locks(&self.0)
    }

    async fn run(&self, db: &Db) -> Result<(), Failure> {
        check(db, &self.0).await?;
        let rows = DocumentRows::of(&self.0);
        let steps = rows.steps();
        if !steps.is_empty() {
            db.pipeline(&steps).await?;
        }
        Ok(())
    }

    fn changes(&self, (): &()) -> Vec<StoreChange> {
        of_documents(&self.0, None)
    }
}

/// Kind, namespace and key of a document.
type Name = (&'static str, String, String);

fn name(write: &DocumentWrite) -> Name {
    let namespace = indexed(write.namespace.as_deref().unwrap_or_default());
    (write.kind.word(), namespace.into_owned(), indexed(&write.key).into_owned())
}

/// Returns the names of the locks that changes need.
pub(in crate::postgres) fn locks(writes: &[DocumentWrite]) -> Vec<String> {
    let lock = |write| {
        let (kind, namespace, key) = name(write);
        // Names of namespaces have no slash.
        format!("document {kind} {namespace}/{key}")
    };
    writes.iter().map(lock).collect()
}

/// Refuses changes of documents in an unexpected state. The locks are held.
pub(in crate::postgres) async fn check(db: &Db, writes: &[DocumentWrite]) -> Result<(), Failure> {
    let mut wanted = WantedDocuments::default();
    wanted.add(writes);
    let Some(step) = wanted.step() else { return Ok(()) };
    let answers = db.pipeline(&[step]).await?;
    let found = answers.first().map(|answer| wanted.read(answer)).transpose()?;
    found.unwrap_or_default().check(writes)
}

/// Documents whose state decides about changes, by columns.
#[derive(Debug, Default)]
pub(super) struct WantedDocuments {
    kinds: Vec<&'static str>,
    namespaces: Vec<String>,
    keys: Vec<String>,
}

impl WantedDocuments {
    /// Adds the documents of those changes that require a state.
    pub(super) fn add(&mut self, writes: &[DocumentWrite]) {
        for write in writes.iter().filter(|write| write.expect != Expect::Anything) {
            let (kind, namespace, key) = name(write);
            self.kinds.push(kind);
            self.namespaces.push(namespace);
            self.keys.push(key);
        }
    }

    /// Returns the query for their revisions; `None`: there are none.
    pub(super) fn step(&self) -> Option<Step<'_>> {
        const SQL: &str = "SELECT x.place, d.revision \
             FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY \
             AS x (kind, namespace, key, place) JOIN documents d \
             ON d.kind = x.kind AND d.namespace = x.namespace AND d.key = x.key";
        let values = || -> Vec<Value<'_>> { vec![&self.kinds, &self.namespaces, &self.keys] };
        (!self.keys.is_empty()).then(|| Step::Query(SQL, values()))
    }

    /// Reads the answer to [`WantedDocuments::step`].
    pub(super) fn read(&self, answer: &Answer) -> Result<FoundDocuments, Failure> {
        let mut found = FoundDocuments::default();
        for row in &answer.rows {
            let place = usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX);
            let wanted = (self.kinds.get(place), self.namespaces.get(place), self.keys.get(place));
            if let (Some(kind), Some(namespace), Some(key)) = wanted {
                let name = (*kind, namespace.clone(), key.clone());
                found.0.insert(name, number(row.try_get(1)?));
            }
        }
        Ok(found)
    }
}

/// Revisions of those of the [`WantedDocuments`] that exist.
#[derive(Debug, Default)]
pub(super) struct FoundDocuments(BTreeMap<Name, u64>);

impl FoundDocuments {
    /// Refuses changes of documents in an unexpected state.
    pub(super) fn check(&self, writes: &[DocumentWrite]) -> Result<(), Failure> {
        for write in writes {
            let found = || self.0.get(&name(write)).copied();
            let is_expected = match write.expect {
                Expect::Anything => true,
                Expect::Absent => found().is_none(),
                Expect::Revision(expected) => found() == Some(expected),
            };
            if !is_expected {
                let (kind, key) = (write.kind.word(), write.key.clone());
                return Err(Error::DocumentChanged { kind, key }.into());
            }
        }
        Ok(())
    }
}

/// Changes of documents, of several callers as one list, by columns. All checks are done. No row
/// has to be read for them: the server adds to the revisions.
#[derive(Debug, Default)]
pub(super) struct DocumentRows {
    put: NameColumns,
    /// Numbers added to the revisions.
    revisions: Vec<i64>,
    due_at_ms: Vec<Option<i64>>,
    bodies: Vec<String>,
    removed: NameColumns,
}

#[derive(Debug, Default)]
struct NameColumns {
    kinds: Vec<&'static str>,
    namespaces: Vec<String>,
    keys: Vec<String>,
}

/// State of one document after all changes, which are made in order.
#[derive(Debug, Default)]
struct After {
    /// True if the document that was there before is removed.
    is_anew: bool,
    /// Number of changes since it was removed last; 0: there is no document, if it is removed.
    puts: i64,
    due_at_ms: Option<i64>,
    body: String,
}

impl DocumentRows {
    /// Computes the rows after these changes.
    pub(super) fn of(writes: &[DocumentWrite]) -> Self {
        let mut all: BTreeMap<Name, After> = BTreeMap::new();
        for write in writes {
            let after = all.entry(name(write)).or_default();
            match &write.change {
                DocumentChange::Put { body, due_at } => {
                    after.puts += 1;
                    after.due_at_ms = due_at.map(Timestamp::as_millis);
                    after.body = body.to_string();
                }
                DocumentChange::Remove => *after = After { is_anew: true, ..After::default() },
            }
        }
        let mut rows = Self::default();
        for (name, after) in all {
            if after.is_anew {
                rows.removed.push(name.clone());
            }
            if after.puts > 0 {
                rows.put.push(name);
                rows.revisions.push(after.puts);
                rows.due_at_ms.push(after.due_at_ms);
                rows.bodies.push(after.body);
            }
        }
        rows
    }

    /// Returns the statements that write them, in order; none if there are no changes.
    pub(super) fn steps(&self) -> Vec<Step<'_>> {
        const REMOVE: &str = "DELETE FROM documents d USING \
             unnest($1::text[], $2::text[], $3::text[]) AS x (kind, namespace, key) \
             WHERE d.kind = x.kind AND d.namespace = x.namespace AND d.key = x.key";
        const PUT: &str = "INSERT INTO documents (kind, namespace, key, revision, due_at_ms, body) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], \
             $6::text[]) ON CONFLICT (kind, namespace, key) DO UPDATE SET \
             revision = documents.revision + excluded.revision, \
             due_at_ms = excluded.due_at_ms, body = excluded.body";
        let mut steps = Vec::new();
        let NameColumns { kinds, namespaces, keys } = &self.removed;
        if !keys.is_empty() {
            steps.push(Step::Execute(REMOVE, vec![kinds, namespaces, keys]));
        }
        let NameColumns { kinds, namespaces, keys } = &self.put;
        if !keys.is_empty() {
            let Self { revisions, due_at_ms, bodies, .. } = self;
            let values: Vec<Value<'_>> =
                vec![kinds, namespaces, keys, revisions, due_at_ms, bodies];
            steps.push(Step::Execute(PUT, values));
        }
        steps
    }
}

impl NameColumns {
    fn push(&mut self, (kind, namespace, key): Name) {
        self.kinds.push(kind);
        self.namespaces.push(namespace);
        self.keys.push(key);
    }
}
