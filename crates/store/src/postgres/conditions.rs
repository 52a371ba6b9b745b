//! Builder of a `WHERE` clause and its values.

use tokio_postgres::types::ToSql;

use super::db::Value;
use super::text::indexed;

/// Conditions that all have to hold.
#[derive(Default)]
pub(super) struct Conditions {
    sql: Vec<String>,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    /// Adds a condition without a value.
    pub(super) fn also(&mut self, condition: &str) {
        self.sql.push(condition.to_owned());
    }

    /// Adds a condition, with `value` in the place of each `?`.
    pub(super) fn with(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static) {
        let place = self.value(value);
        self.sql.push(condition.replace('?', &place));
    }

    /// Adds a condition, with a text in the place of each `?`.
    pub(super) fn with_text(&mut self, condition: &str, text: &str) {
        self.with(condition, indexed(text).into_owned());
    }

    /// Adds a value. Returns its placeholder.
    pub(super) fn value(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    /// Returns `WHERE` and the conditions; empty if there are none.
    pub(super) fn sql(&self) -> String {
        if self.sql.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.sql.join(" AND "))
        }
    }

    /// Returns the values in order.
    pub(super) fn values(&self) -> Vec<Value<'_>> {
        self.values.iter().map(|value| -> Value<'_> { value.as_ref() }).collect()
    }
}
