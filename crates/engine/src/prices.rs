//! Prices in force: those shipped with errand, and the user's beside the registry.
//!
//! A table with a problem is not used: no run is admitted, and no attempt begins, on prices that
//! their author did not mean.

use std::io::ErrorKind;

use errand_api::agent_file::Problems;
use errand_api::error_code::ErrorCode;
use errand_api::price_table;
use errand_model::price::PriceTable;
use errand_store::Registry;
use thiserror::Error;

use crate::error::{CodedError, IoFailure, operation_error};

operation_error! {
    /// Error: the price table is malformed or cannot be read.
    pub enum Error {
        /// The price table is malformed.
        Prices(PriceTableInvalid),
        /// A file or process operation failed.
        Io(IoFailure),
    }
}

/// Largest price file: as large as an agent file.
const LIMIT_BYTES: u64 = 1024 * 1024;

/// Returns all known prices; the user's override the shipped ones.
///
/// # Errors
///
/// [`Error::Prices`] with all problems of the user's table; if it cannot be read.
pub fn in_force(registry: &Registry) -> Result<PriceTable, Error> {
    Ok(shipped()?.clone().with(users(registry)?))
}

/// Returns all known prices if the user has a table; `None` if the shipped prices hold unchanged.
///
/// # Errors
///
/// As [`in_force`].
pub(crate) fn with_own(registry: &Registry) -> Result<Option<PriceTable>, Error> {
    let own = users(registry)?;
    if own.is_empty() { Ok(None) } else { Ok(Some(shipped()?.clone().with(own))) }
}

fn shipped() -> Result<&'static PriceTable, Error> {
    Ok(price_table::shipped().map_err(|problems| PriceTableInvalid(problems.clone()))?)
}

/// Checks the user's table. Costs next to nothing if there is none.
///
/// # Errors
///
/// As [`in_force`].
pub fn check(registry: &Registry) -> Result<(), Error> {
    users(registry).map(|_| ())
}

fn users(registry: &Registry) -> Result<Vec<errand_model::price::Price>, Error> {
    use std::io::Read as _;
    let path = registry.prices();
    let failed = |error| IoFailure::of("read", &path)(error);
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error).into()),
    };
    let mut bytes = Vec::new();
    // A byte beyond the limit makes the parser report it like any other problem.
    file.take(LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(price_table::parse(&path.display().to_string(), &bytes).map_err(PriceTableInvalid)?)
}

/// Error: the user's price table has problems.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct PriceTableInvalid(pub Problems);

impl CodedError for PriceTableInvalid {
    fn code(&self) -> ErrorCode {
        ErrorCode::PriceTableInvalid
    }
}
