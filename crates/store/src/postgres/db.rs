//! A connection with cached prepared statements.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::failure::Failure;

/// Prepared statements that a connection keeps. Fewer are in use, except with very many kinds of
/// list filters: then all are prepared anew.
const STATEMENTS: usize = 256;

/// A parameter of a statement.
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

    /// Returns true if the connection is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Returns all rows of a query.
    pub(super) async fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Failure> {
        let statement = self.prepared(sql).await?;
        Ok(self.client.query(&statement, values).await?)
    }

    /// Returns the first row of a query.
    pub(super) async fn query_first(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, Failure> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// Executes a statement. Returns the number of changed rows.
    pub(super) async fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Failure> {
        let statement = self.prepared(sql).await?;
        Ok(self.client.execute(&statement, values).await?)
    }

    /// Executes statements without parameters; they are not prepared.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Returns a prepared statement, from the cache if possible.
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

    /// Prepares the statements of a pipeline, so that it is sent without pauses. Missing ones are
    /// prepared in one round trip.
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

    /// Sends all statements at once, in order, and waits for all answers. The first failure is
    /// returned.
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
        // Fewer than 30 futures are polled, and so sent, in order.
        try_join_all(sent).await
    }
}

/// A statement of a pipeline.
pub(super) enum Step<'a> {
    /// A statement without parameters or rows: `BEGIN`, `COMMIT`.
    Plain(&'a str),
    /// A statement whose rows are returned.
    Query(&'a str, Vec<Value<'a>>),
    /// A statement whose rows are ignored.
    Execute(&'a str, Vec<Value<'a>>),
}

/// Result of a step.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
}
