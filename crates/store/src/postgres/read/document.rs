//! Documents.

use errand_model::Timestamp;
use tokio_postgres::Row;

use crate::document::{Document, DocumentKind, DocumentOrder, DocumentQuery, Namespaces};
use crate::postgres::conditions::Conditions;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::{damaged, number};
use crate::postgres::text::indexed;

const COLUMNS: &str = "SELECT namespace, key, revision, due_at_ms, body FROM documents";

/// See [`crate::DocumentStore::document`].
pub(in crate::postgres) async fn document(
    db: &Db,
    kind: DocumentKind,
    namespace: Option<&str>,
    key: &str,
) -> Result<Option<Document>, Failure> {
    let sql = format!("{COLUMNS} WHERE kind = $1 AND namespace = $2 AND key = $3");
    let (namespace, key) = (indexed(namespace.unwrap_or_default()), indexed(key));
    let found = db.query_first(&sql, &[&kind.word(), &namespace, &key]).await?;
    found.map(|row| read(kind, &row)).transpose()
}

/// See [`crate::DocumentStore::documents`].
pub(in crate::postgres) async fn documents(
    db: &Db,
    query: &DocumentQuery,
) -> Result<Vec<Document>, Failure> {
    let mut all = Conditions::default();
    all.with("kind = ?", query.kind.word());
    if let Namespaces::One(namespace) = &query.namespaces {
        all.with_text("namespace = ?", namespace.as_deref().unwrap_or_default());
    }
    if !query.prefix.is_empty() {
        // The first condition also bounds the index scan.
        all.with_text("key >= ? AND starts_with(key, ?)", &query.prefix);
    }
    let (follows, order) = match query.order {
        DocumentOrder::Ascending => (">", "namespace, key"),
        DocumentOrder::Descending => ("<", "namespace DESC, key DESC"),
    };
    if let Some((namespace, key)) = &query.after {
        let namespace = all.value(indexed(namespace.as_deref().unwrap_or_default()).into_owned());
        all.with_text(&format!("(namespace, key) {follows} ({namespace}, ?)"), key);
    }
    let limit = all.value(i64::from(query.limit));
    let sql = format!("{COLUMNS} {} ORDER BY {order} LIMIT {limit}", all.sql());
    let rows = db.query(&sql, &all.values()).await?;
    rows.iter().map(|row| read(query.kind, row)).collect()
}

/// See [`crate::DocumentStore::due_documents`].
pub(in crate::postgres) async fn due_documents(
    db: &Db,
    kind: DocumentKind,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Document>, Failure> {
    let sql =
        format!("{COLUMNS} WHERE kind = $1 AND due_at_ms <= $2 ORDER BY due_at_ms, key LIMIT $3");
    let rows = db.query(&sql, &[&kind.word(), &now.as_millis(), &i64::from(limit)]).await?;
    rows.iter().map(|row| read(kind, row)).collect()
}

fn read(kind: DocumentKind, row: &Row) -> Result<Document, Failure> {
    let (namespace, key): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let body: &str = row.try_get(4)?;
    let body = serde_json::from_str(body)
        .map_err(|error| damaged("", format!("{} {key:?}: {error}", kind.word())))?;
    Ok(Document {
        kind,
        namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
        key,
        revision: number(row.try_get(2)?),
        due_at: row.try_get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
        body,
    })
}
