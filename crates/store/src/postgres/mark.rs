//! Marks of transactions, by which a commit whose answer was lost is found again.

use super::db::Answer;
use super::failure::Failure;

/// Statement that gives the transaction a mark, by which a commit is found again, and returns the
/// number of the transaction.
pub(super) const MARK: &str = "INSERT INTO commits (mark, ring) \
     SELECT $1, current FROM rings WHERE name = 'commits' RETURNING pg_current_xact_id()::text";

/// Identity of a transaction, for later questions about its outcome.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// Random, and therefore unique.
    pub(super) mark: i64,
    pub(super) end: EndSign,
}

/// Sign by which another session sees that the transaction is over.
#[derive(Clone, Debug)]
pub(super) enum EndSign {
    /// Status of the transaction with that number. After a crash of the server another transaction
    /// may have it.
    Number(String),
    /// Locks with those names, which the transaction holds: it was sent as a whole, so that its
    /// number is unknown.
    Locks(Vec<String>),
}

impl Mark {
    /// Draws a new mark.
    pub(super) fn draw() -> Result<i64, Failure> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|_| Failure::Unexpected("there is no chance"))?;
        Ok(i64::from_le_bytes(bytes))
    }

    /// Reads the server's answer to [`MARK`].
    pub(super) fn read(mark: i64, answer: Option<&Answer>) -> Result<Self, Failure> {
        let number = answer.and_then(|answer| answer.rows.first()?.try_get(0).ok());
        let number = number.ok_or(Failure::Unexpected("a transaction has no number"))?;
        Ok(Self { mark, end: EndSign::Number(number) })
    }
}
