//! Renewal of leases.

use std::collections::BTreeMap;

use async_trait::async_trait;
use errand_model::{RunId, Timestamp};

use super::Operation;
use crate::Renewed;
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::lock::run_lock;
use crate::postgres::row::{integer, number};

/// [`crate::Store::renew`].
pub(in crate::postgres) struct Renew {
    pub(in crate::postgres) leases: Vec<(RunId, u64)>,
    pub(in crate::postgres) until: Timestamp,
}

#[async_trait]
impl Operation for Renew {
    type Output = Renewed;

    const DOING: &'static str = "renews leases";

    fn locks(&self) -> Vec<String> {
        self.leases.iter().map(|(run_id, _)| run_lock(run_id)).collect()
    }

    async fn run(&self, db: &Db) -> Result<Renewed, Failure> {
        const SQL: &str = "UPDATE leases l SET expires_at_ms = $3 \
             FROM unnest($1::text[], $2::bigint[]) AS x (run_id, epoch) \
             JOIN runs r ON r.run_id = x.run_id \
             WHERE l.run = r.run AND l.epoch = x.epoch \
             RETURNING r.run_id, l.epoch, EXISTS (SELECT 1 FROM requests q WHERE q.run = r.run)";
        let ids: Vec<&str> = self.leases.iter().map(|(run_id, _)| run_id.as_str()).collect();
        let epochs: Vec<i64> = self.leases.iter().map(|(_, epoch)| integer(*epoch)).collect();
        let mut in_force: BTreeMap<(String, u64), bool> = BTreeMap::new();
        for row in db.query(SQL, &[&ids, &epochs, &self.until.as_millis()]).await? {
            in_force.insert((row.try_get(0)?, number(row.try_get(1)?)), row.try_get(2)?);
        }
        let mut renewed = Renewed::default();
        for (run_id, epoch) in &self.leases {
            match in_force.get(&(run_id.to_string(), *epoch)) {
                None => renewed.lost.push(run_id.clone()),
                Some(true) => renewed.asked.push(run_id.clone()),
                Some(false) => {}
            }
        }
        Ok(renewed)
    }
}
