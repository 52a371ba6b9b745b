//! Import of a run of another registry.

use rusqlite::Connection;

use super::{Operation, admit};
use crate::sqlite::failure::Failure;
use crate::sqlite::journal::Files;
use crate::sqlite::row::CurrentRow;
use crate::{Admission, Admitted, Error};

/// [`crate::Store::import`].
pub(in crate::sqlite) struct Import(pub(in crate::sqlite) Admission);

impl Operation for Import {
    type Output = Admitted;

    fn run(&self, connection: &Connection) -> Result<Admitted, Failure> {
        let run_id = &self.0.run.id;
        match CurrentRow::of(connection, run_id) {
            Ok(current) if current.head == self.0.head => {
                return Ok(Admitted::Existing(run_id.clone()));
            }
            Ok(_) => return Err(Error::OtherJournal { run_id: run_id.clone() }.into()),
            Err(Failure::Refused(Error::NoRun { .. })) => {}
            Err(error) => return Err(error),
        }
        if !self.0.run.status.is_terminal() {
            return Err(Error::Live { run_id: run_id.clone() }.into());
        }
        admit::check(connection, &self.0)?;
        // The lease numbers continue from there, should the run ever be taken again.
        admit::insert(connection, &self.0, self.0.run.epoch)?;
        Ok(Admitted::Created)
    }

    fn journal(&self, output: &Admitted, files: &mut Files) {
        if *output == Admitted::Created {
            files.add(&self.0.events);
        }
    }
}
