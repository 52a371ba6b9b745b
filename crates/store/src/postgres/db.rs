//! A connection whose statements are prepared once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::failure::Failure;

/// Statements that are kept prepared, per connection. There are fewer, unless lists are asked for in
/// very many ways: then all are prepared anew.
const STATEMENTS: usize = 256;

/// A value of a statement, wherever it is kept.
pub(super) type Value<'a> = &'a (dyn ToSql + Sync);

/// A connection.
pub(super) struct Db {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").finish_non_exhaustive()
    }
}

impl Db {
    pub(super) fn new(client: Client) -> Self {
        Self { client, statements: Mutex::new(HashMap::new()) }
    }

    /// Whether it is of no use any more.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// All rows of a query.
    pub(super) async fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Failure> {
        let statement = self.prepared(sql).await?;
        Ok(self.client.query(&statement, values).await?)
    }

    /// The first row of a query.
    pub(super) async fn query_first(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, Failure> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// How many rows a statement changed.
    pub(super) async fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Failure> {
        let statement = self.prepared(sql).await?;
        Ok(self.client.execute(&statement, values).await?)
    }

    /// Has statements done that have no values; nothing is kept prepared.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// A statement that is prepared, now or before.
    pub(super) async fn prepared(&self, sql: &str) -> Result<Statement, Failure> {
        if let Some(known) = self.known(sql) {
            return Ok(known);
        }
        let statement = self.client.prepare(sql).await?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        if statements.len() >= STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn known(&self, sql: &str) -> Option<Statement> {
        let statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        statements.get(sql).cloned()
    }

    /// Prepares what a pipeline needs, so that it is sent the moment it is begun. What a new
    /// connection lacks is prepared in one round to the server.
    pub(super) async fn prepare(&self, steps: &[Step<'_>]) -> Result<(), Failure> {
        let wanted: BTreeSet<&str> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Query(sql, _) | Step::Execute(sql, _) => Some(*sql),
                Step::Plain(_) => None,
            })
            .filter(|sql| self.known(sql).is_none())
            .collect();
        try_join_all(wanted.into_iter().map(|sql| self.prepared(sql))).await.map(drop)
    }

    /// Sends all statements at once, in order, and waits for all answers: the rows of each. What the
    /// first one that fails says is what went wrong.
    pub(super) async fn pipeline(&self, steps: &[Step<'_>]) -> Result<Vec<Answer>, Failure> {
        self.prepare(steps).await?;
        let mut prepared = Vec::with_capacity(steps.len());
        for step in steps {
            prepared.push(match step {
                Step::Plain(_) => None,
                Step::Query(sql, _) | Step::Execute(sql, _) => Some(self.prepared(sql).await?),
            });
        }
        let sent = steps.iter().zip(&prepared).map(|(step, statement)| async move {
            match (step, statement) {
                (Step::Query(_, values), Some(statement)) => {
                    let rows = self.client.query(statement, values).await?;
                    Ok::<Answer, Failure>(Answer { rows })
                }
                (Step::Execute(_, values), Some(statement)) => {
                    self.client.execute(statement, values).await?;
                    Ok(Answer { rows: Vec::new() })
                }
                (Step::Plain(sql) | Step::Query(sql, _) | Step::Execute(sql, _), _) => {
                    self.client.batch_execute(sql).await?;
                    Ok(Answer { rows: Vec::new() })
                }
            }
        });
        // Fewer than 30: these are polled, and so sent, in their order.
        try_join_all(sent).await
    }
}

/// One statement of a pipeline.
pub(super) enum Step<'a> {
    /// Without values or rows: `BEGIN`, `COMMIT`.
    Plain(&'a str),
    /// Whose rows are wanted.
    Query(&'a str, Vec<Value<'a>>),
    /// Whose rows are not wanted.
    Execute(&'a str, Vec<Value<'a>>),
}

/// What a step came to.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
}
