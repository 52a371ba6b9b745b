//! Import of a run of another registry.

use async_trait::async_trait;

use super::{Operation, document_locks};
use crate::postgres::db::Db;
use crate::postgres::failure::Failure;
use crate::postgres::lock::{key_lock, run_lock, session_lock};
use crate::postgres::read;
use crate::postgres::text::indexed;
use crate::postgres::write::batch::{check_admitted, insert};
use crate::{Admission, Admitted, Error, StoreChange};

/// [`crate::Store::import`].
pub(in crate::postgres) struct Import(pub(in crate::postgres) Admission);

#[async_trait]
impl Operation for Import {
    type Output = Admitted;

    const DOING: &'static str = "takes a run in";

    fn locks(&self) -> Vec<String> {
        let spec = &self.0.run.spec;
        let mut locks = vec![run_lock(&self.0.run.id)];
        locks.extend(document_locks(&self.0.documents));
        // Of two runs with one key the first has it.
        if let Some(key) = &spec.idempotency_key {
            locks.push(key_lock(spec.namespace.as_deref(), key));
        }
        if let Some(session_id) = &spec.session_id {
            locks.push(session_lock(&indexed(session_id)));
        }
        locks
    }

    async fn run(&self, db: &Db) -> Result<Admitted, Failure> {
        let run_id = &self.0.run.id;
        match read::evidence(db, run_id).await? {
            Some(found) if found.head == Some(self.0.head) => {
                return Ok(Admitted::Existing(run_id.clone()));
            }
            Some(_) => return Err(Error::OtherJournal { run_id: run_id.clone() }.into()),
            None => {}
        }
        if !self.0.run.status.is_terminal() {
            return Err(Error::Live { run_id: run_id.clone() }.into());
        }
        check_admitted(db, &self.0).await?;
        // The lease numbers continue from there, should the run ever be taken again.
        insert(db, &self.0, self.0.run.epoch).await?;
        Ok(Admitted::Created)
    }

    fn changes(&self, admitted: &Admitted) -> Vec<StoreChange> {
        match admitted {
            Admitted::Created => {
                let (run_id, seq) = (self.0.run.id.clone(), self.0.head.seq);
                vec![StoreChange::Run { run_id, seq, is_over: true }]
            }
            Admitted::Existing(_) => Vec::new(),
        }
    }
}
