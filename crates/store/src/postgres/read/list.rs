//! Lists of runs.

use super::load::{COLUMNS, Partial, complete};
use super::{in_namespaces, kind_name};
use crate::postgres::conditions::Conditions;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::text;
use crate::{Error, Filter, Page, Stored};

/// Lists runs, newest first, and the errors of unreadable ones.
pub(in crate::postgres) async fn list(
    db: &Db,
    filter: &Filter,
    page: &Page,
) -> Result<(Vec<Stored>, Vec<Error>), Failure> {
    let mut all = conditions(filter, page)?;
    let limit = all.value(i64::from(page.limit));
    let sql = format!("SELECT {COLUMNS} {} ORDER BY r.run_id DESC LIMIT {limit}", all.sql());
    let (mut partials, mut damaged) = (Vec::new(), Vec::new());
    for row in db.query(&sql, &all.values()).await? {
        match Partial::read(&row) {
            Ok(partial) => partials.push(partial),
            Err(Failure::Refused(error)) => damaged.push(error),
            Err(failure) => return Err(failure),
        }
    }
    let mut runs = Vec::with_capacity(partials.len());
    for run in complete(db, partials).await? {
        match run {
            Ok(run) => runs.push(run),
            Err(error) => damaged.push(error),
        }
    }
    Ok((runs, damaged))
}

fn conditions(filter: &Filter, page: &Page) -> Result<Conditions, Failure> {
    let mut all = Conditions::default();
    in_namespaces(&mut all, &filter.namespaces);
    if filter.live {
        all.also("r.ended_at_ms IS NULL");
    }
    if !filter.kinds.is_empty() {
        let kinds: Vec<&str> = filter.kinds.iter().map(|kind| kind_name(*kind)).collect();
        all.with("r.kind = ANY(?)", kinds);
    }
    if let Some(agent) = &filter.agent {
        all.with_text("r.agent = ?", agent);
    }
    if let Some(status) = &filter.status {
        all.with_text("r.status = ?", status);
    }
    if let Some(name) = &filter.name {
        all.with_text("r.name = ?", name);
    }
    if let Some(session_id) = &filter.session_id {
        all.with_text("r.session_id = ?", session_id);
    }
    if let Some(parent) = &filter.parent_run_id {
        all.with_text("r.parent_run_id = ?", parent.as_str());
    }
    if let Some(before) = filter.ended_before {
        all.with("r.ended_at_ms < ?", before.as_millis());
    }
    if let Some(since) = filter.not_ended_before {
        all.with("(r.ended_at_ms IS NULL OR r.ended_at_ms >= ?)", since.as_millis());
    }
    if let Some(labels) = text::labels(&filter.labels)? {
        all.with("r.labels::jsonb @> ?::text::jsonb", labels);
    }
    if let Some(after) = &page.after {
        all.with_text("r.run_id < ?", after.as_str());
    }
    Ok(all)
}
