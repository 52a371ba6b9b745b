//! Lists of runs.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::load::{COLUMNS, Partial};
use super::{in_namespaces, kind_name};
use crate::sqlite::failure::Failure;
use crate::{Error, Filter, Page, Stored};

/// Lists runs, newest first, and the errors of unreadable ones.
pub(in crate::sqlite) fn list(
    connection: &Connection,
    filter: &Filter,
    page: &Page,
) -> Result<(Vec<Stored>, Vec<Error>), Failure> {
    let conditions = conditions(filter, page);
    let sql = format!(
        "SELECT {COLUMNS} {} ORDER BY r.run_id DESC LIMIT {}",
        conditions.sql(),
        page.limit
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(conditions.values))?;
    let (mut runs, mut damaged) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let run = Partial::read(row).and_then(|partial| partial.complete(connection));
        match run {
            Ok(run) => runs.push(run),
            Err(Failure::Refused(error)) => damaged.push(error),
            Err(Failure::Database(error)) if is_of_the_row(&error) => {
                let run_id: String = row.get(1).unwrap_or_default();
                damaged.push(Error::Damaged { run_id, reason: error.to_string() });
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok((runs, damaged))
}

/// Returns true if a column has an invalid value; other rows are not affected.
fn is_of_the_row(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}

#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition, with `value` in the place of its `?`.
    fn with(&mut self, condition: &str, value: impl Into<Value>) {
        self.sql.push(condition.to_owned());
        self.values.push(value.into());
    }

    fn sql(&self) -> String {
        if self.sql.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.sql.join(" AND "))
        }
    }
}

fn conditions(filter: &Filter, page: &Page) -> Conditions {
    let mut all = Conditions::default();
    if let Some((condition, namespace)) = in_namespaces(&filter.namespaces) {
        all.with(condition, namespace);
    }
    if filter.live {
        all.sql.push("r.ended_at_ms IS NULL".to_owned());
    }
    if !filter.kinds.is_empty() {
        let kinds: Vec<String> =
            filter.kinds.iter().map(|kind| format!("'{}'", kind_name(*kind))).collect();
        all.sql.push(format!("r.kind IN ({})", kinds.join(", ")));
    }
    if let Some(agent) = &filter.agent {
        all.with("r.agent = ?", agent.clone());
    }
    if let Some(status) = &filter.status {
        all.with("r.status = ?", status.clone());
    }
    if let Some(name) = &filter.name {
        all.with("r.name = ?", name.clone());
    }
    if let Some(session_id) = &filter.session_id {
        all.with("r.session_id = ?", session_id.clone());
    }
    if let Some(parent) = &filter.parent_run_id {
        all.with("r.parent_run_id = ?", parent.to_string());
    }
    if let Some(before) = filter.ended_before {
        all.with("r.ended_at_ms < ?", before.as_millis());
    }
    if let Some(since) = filter.not_ended_before {
        all.with("(r.ended_at_ms IS NULL OR r.ended_at_ms >= ?)", since.as_millis());
    }
    for (key, value) in &filter.labels {
        all.with("EXISTS (SELECT 1 FROM json_each(r.labels) WHERE key = ?", key.clone());
        all.with("value = ?)", value.clone());
    }
    if let Some(after) = &page.after {
        all.with("r.run_id < ?", after.to_string());
    }
    all
}
