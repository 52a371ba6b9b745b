//! Changes of documents, alone or together with a run.

use std::collections::BTreeMap;

use async_trait::async_trait;
use errand_model::Timestamp;

use super::Operation;
use crate::change::of_documents;
use crate::document::{DocumentChange, DocumentWrite, Expect};
use crate::postgres::db::{Db, Step};
use crate::postgres::failure::Failure;
use crate::postgres::row::{integer, number};
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
        write(db, &self.0).await
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
    let is_conditional = |write: &DocumentWrite| write.expect != Expect::Anything;
    if !writes.iter().any(is_conditional) {
        return Ok(());
    }
    let revisions = revisions(db, writes).await?;
    for write in writes {
        let found = revisions.get(&name(write)).copied();
        let is_expected = match write.expect {
            Expect::Anything => true,
            Expect::Absent => found.is_none(),
            Expect::Revision(expected) => found == Some(expected),
        };
        if !is_expected {
            let (kind, key) = (write.kind.word(), write.key.clone());
            return Err(Error::DocumentChanged { kind, key }.into());
        }
    }
    Ok(())
}

/// Returns the revisions of the existing documents.
async fn revisions(db: &Db, writes: &[DocumentWrite]) -> Result<BTreeMap<Name, u64>, Failure> {
    const SQL: &str = "SELECT x.place, d.revision \
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY \
         AS x (kind, namespace, key, place) JOIN documents d \
         ON d.kind = x.kind AND d.namespace = x.namespace AND d.key = x.key";
    let names: Vec<Name> = writes.iter().map(name).collect();
    let mut revisions = BTreeMap::new();
    let (kinds, namespaces, keys) = columns(&names);
    for row in db.query(SQL, &[&kinds, &namespaces, &keys]).await? {
        let place = usize::try_from(row.try_get::<_, i64>(0)? - 1).ok();
        if let Some(name) = place.and_then(|place| names.get(place)) {
            revisions.insert(name.clone(), number(row.try_get(1)?));
        }
    }
    Ok(revisions)
}

fn columns(names: &[Name]) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
    let kinds = names.iter().map(|(kind, _, _)| *kind).collect();
    let namespaces = names.iter().map(|(_, namespace, _)| namespace.as_str()).collect();
    (kinds, namespaces, names.iter().map(|(_, _, key)| key.as_str()).collect())
}

/// State of a document after all changes.
#[derive(Debug, Default)]
struct After {
    /// `None`: there is no document.
    revision: Option<u64>,
    due_at_ms: Option<i64>,
    body: String,
}

/// Makes the changes, of several callers as one list. All checks are done.
pub(in crate::postgres) async fn write(db: &Db, writes: &[DocumentWrite]) -> Result<(), Failure> {
    const PUT: &str = "INSERT INTO documents (kind, namespace, key, revision, due_at_ms, body) \
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], \
         $6::text[]) ON CONFLICT (kind, namespace, key) DO UPDATE SET \
         revision = excluded.revision, due_at_ms = excluded.due_at_ms, body = excluded.body";
    const REMOVE: &str = "DELETE FROM documents d USING \
         unnest($1::text[], $2::text[], $3::text[]) AS x (kind, namespace, key) \
         WHERE d.kind = x.kind AND d.namespace = x.namespace AND d.key = x.key";
    if writes.is_empty() {
        return Ok(());
    }
    let (mut put, mut removed) = (Vec::new(), Vec::new());
    let (mut revisions, mut due_at_ms, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    for (name, after) in after(writes, &self::revisions(db, writes).await?) {
        match after.revision {
            Some(revision) => {
                put.push(name);
                revisions.push(integer(revision));
                due_at_ms.push(after.due_at_ms);
                bodies.push(after.body);
            }
            None => removed.push(name),
        }
    }
    let (put, removed) = (columns(&put), columns(&removed));
    let mut steps = Vec::new();
    if !revisions.is_empty() {
        let (kinds, namespaces, keys) = &put;
        let values: Vec<crate::postgres::db::Value<'_>> =
            vec![kinds, namespaces, keys, &revisions, &due_at_ms, &bodies];
        steps.push(Step::Execute(PUT, values));
    }
    let (kinds, namespaces, keys) = &removed;
    if !kinds.is_empty() {
        steps.push(Step::Execute(REMOVE, vec![kinds, namespaces, keys]));
    }
    db.pipeline(&steps).await?;
    Ok(())
}

/// Computes the documents after all changes, which are made in order.
fn after(writes: &[DocumentWrite], before: &BTreeMap<Name, u64>) -> BTreeMap<Name, After> {
    let mut all: BTreeMap<Name, After> = BTreeMap::new();
    for write in writes {
        let name = name(write);
        let revision = before.get(&name).copied();
        let after = all.entry(name).or_insert_with(|| After { revision, ..After::default() });
        match &write.change {
            DocumentChange::Put { body, due_at } => {
                after.revision = Some(after.revision.unwrap_or(0) + 1);
                after.due_at_ms = due_at.map(Timestamp::as_millis);
                after.body = body.to_string();
            }
            DocumentChange::Remove => after.revision = None,
        }
    }
    all
}
