//! Indexing of names in journals that are older than the table of names.

use async_trait::async_trait;

use super::Operation;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::row::number;
use crate::postgres::write::batch::{NAMES, Names};

/// [`crate::NameStore::index_names`].
pub(in crate::postgres) struct IndexNames(pub(in crate::postgres) u32);

#[async_trait]
impl Operation for IndexNames {
    type Output = u64;

    const DOING: &'static str = "takes in names";

    fn locks(&self) -> Vec<String> {
        vec!["names".to_owned()]
    }

    async fn run(&self, db: &Db) -> Result<u64, Failure> {
        const RUNS: &str = "SELECT run FROM unindexed_runs ORDER BY run LIMIT $1";
        const EVENTS: &str = "SELECT run, type, data FROM events WHERE run = ANY($1) \
             AND position('\"sha256:' in data) > 0";
        const DONE: &str = "DELETE FROM unindexed_runs WHERE run = ANY($1)";
        const LEFT: &str = "SELECT count(*) FROM unindexed_runs";
        let mut runs: Vec<i64> = Vec::new();
        for row in db.query(RUNS, &[&i64::from(self.0)]).await? {
            runs.push(row.try_get(0)?);
        }
        if !runs.is_empty() {
            let mut names = Names::default();
            for row in db.query(EVENTS, &[&runs]).await? {
                names.put(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            }
            if !names.run.is_empty() {
                db.execute(NAMES, &[&names.run, &names.digest, &names.is_parcel]).await?;
            }
            db.execute(DONE, &[&runs]).await?;
        }
        let left: i64 = match db.query_first(LEFT, &[]).await? {
            Some(row) => row.try_get(0)?,
            None => 0,
        };
        Ok(number(left))
    }
}
