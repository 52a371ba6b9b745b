//! Documents.

use errand_model::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use crate::document::{Document, DocumentKind, DocumentOrder, DocumentQuery, Namespaces};
use crate::sqlite::failure::Failure;
use crate::sqlite::row::{damaged, number};

const COLUMNS: &str = "SELECT namespace, key, revision, due_at_ms, body FROM documents";

/// See [`crate::DocumentStore::document`].
pub(in crate::sqlite) fn document(
    connection: &Connection,
    kind: DocumentKind,
    namespace: Option<&str>,
    key: &str,
) -> Result<Option<Document>, Failure> {
    let sql = format!("{COLUMNS} WHERE kind = ?1 AND namespace = ?2 AND key = ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let values = params![kind.word(), namespace.unwrap_or_default(), key];
    let found = statement.query_row(values, |row| Ok(read(kind, row))).optional()?;
    found.transpose()
}

/// See [`crate::DocumentStore::documents`].
pub(in crate::sqlite) fn documents(
    connection: &Connection,
    query: &DocumentQuery,
) -> Result<Vec<Document>, Failure> {
    let mut conditions = vec!["kind = ?"];
    let mut values: Vec<Value> = vec![query.kind.word().to_owned().into()];
    if let Namespaces::One(namespace) = &query.namespaces {
        conditions.push("namespace = ?");
        values.push(namespace.clone().unwrap_or_default().into());
    }
    if !query.prefix.is_empty() {
        conditions.push("substr(key, 1, length(?)) = ?");
        values.extend([query.prefix.clone().into(), query.prefix.clone().into()]);
    }
    let (follows, order) = match query.order {
        DocumentOrder::Ascending => ("(namespace, key) > (?, ?)", "namespace, key"),
        DocumentOrder::Descending => ("(namespace, key) < (?, ?)", "namespace DESC, key DESC"),
    };
    if let Some((namespace, key)) = &query.after {
        conditions.push(follows);
        values.extend([namespace.clone().unwrap_or_default().into(), key.clone().into()]);
    }
    let (conditions, limit) = (conditions.join(" AND "), query.limit);
    let sql = format!("{COLUMNS} WHERE {conditions} ORDER BY {order} LIMIT {limit}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(query.kind, row)?);
    }
    Ok(found)
}

/// See [`crate::DocumentStore::due_documents`].
pub(in crate::sqlite) fn due_documents(
    connection: &Connection,
    kind: DocumentKind,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Document>, Failure> {
    let sql =
        format!("{COLUMNS} WHERE kind = ?1 AND due_at_ms <= ?2 ORDER BY due_at_ms, key LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![kind.word(), now.as_millis(), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(kind, row)?);
    }
    Ok(found)
}

fn read(kind: DocumentKind, row: &Row<'_>) -> Result<Document, Failure> {
    let (namespace, key): (String, String) = (row.get(0)?, row.get(1)?);
    let body: String = row.get(4)?;
    let body = serde_json::from_str(&body)
        .map_err(|error| damaged("", format!("{} {key:?}: {error}", kind.word())))?;
    Ok(Document {
        kind,
        namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
        key,
        revision: number(row.get(2)?),
        due_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
        body,
    })
}
