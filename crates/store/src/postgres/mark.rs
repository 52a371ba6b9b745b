//! Marks of transactions, by which a commit whose answer was lost is found again.

use super::db::Answer;
use super::failure::Failure;

/// Gives the transaction its mark, by which it is found again if it was committed, and its number.
pub(super) const MARK: &str = "INSERT INTO commits (mark, ring) \
     SELECT $1, current FROM rings WHERE name = 'commits' RETURNING pg_current_xact_id()::text";

/// A transaction, for whoever asks later what became of it.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// Chance makes it the only one of its kind.
    pub(super) mark: i64,
    /// Its number. After a crash of the server another one may have it.
    pub(super) number: String,
}

impl Mark {
    /// A new mark.
    pub(super) fn draw() -> Result<i64, Failure> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|_| Failure::Unexpected("there is no chance"))?;
        Ok(i64::from_le_bytes(bytes))
    }

    /// What [`MARK`] was answered.
    pub(super) fn read(mark: i64, answer: Option<&Answer>) -> Result<Self, Failure> {
        let number = answer.and_then(|answer| answer.rows.first()?.try_get(0).ok());
        let number = number.ok_or(Failure::Unexpected("a transaction has no number"))?;
        Ok(Self { mark, number })
    }
}
