//! The prices in force: those that errand ships with, and the user's beside the registry.
//!
//! A table that has a problem is not used: nothing is admitted, and no attempt begins, on prices
//! that are not what their author meant.

use std::io::ErrorKind;

use errand_api::price_table;
use errand_model::price::PriceTable;
use errand_store::Registry;

use crate::Error;

/// The largest file of prices: as large as an agent file.
const LIMIT_BYTES: u64 = 1024 * 1024;

/// All prices that are known; the user's win.
///
/// # Errors
///
/// [`Error::Prices`] with everything that is wrong with the user's table, or if it cannot be read.
pub fn in_force(registry: &Registry) -> Result<PriceTable, Error> {
    Ok(shipped()?.clone().with(users(registry)?))
}

/// The same if the user has prices of their own; `None`: the shipped ones hold as they are.
///
/// # Errors
///
/// As [`in_force`].
pub(crate) fn with_own(registry: &Registry) -> Result<Option<PriceTable>, Error> {
    let own = users(registry)?;
    if own.is_empty() { Ok(None) } else { Ok(Some(shipped()?.clone().with(own))) }
}

fn shipped() -> Result<&'static PriceTable, Error> {
    price_table::shipped().map_err(|problems| Error::Prices(problems.clone()))
}

/// Refuses a table that has a problem. Costs next to nothing where there is none.
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
    let failed = |error| Error::io("read", &path)(error);
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    // One byte more is over the limit, which is told like any other problem.
    file.take(LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    price_table::parse(&path.display().to_string(), &bytes).map_err(Error::Prices)
}
