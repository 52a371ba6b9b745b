//! Prices in force: those shipped with errand, those of the catalog, and the user's beside the registry.
//!
//! A table with a problem is not used: no run is admitted, and no attempt begins, on prices that
//! their author did not mean.

use std::io::ErrorKind;

use errand_api::agent_file::Problems;
use errand_api::catalog::{CatalogManifest, CatalogSpec};
use errand_api::error_code::ErrorCode;
use errand_api::price_table;
use errand_model::catalog::CatalogKind;
use errand_model::price::{Price, PriceTable};
use errand_store::Registry;
use thiserror::Error;

use crate::error::{CodedError, IoFailure, operation_error};
use crate::{Engine, catalog};

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

/// Returns the shipped prices and the user's, which override them.
///
/// # Errors
///
/// [`Error::Prices`] with all problems of the user's table; if it cannot be read.
pub fn in_force(registry: &Registry) -> Result<PriceTable, Error> {
    Ok(shipped()?.clone().with(users(registry)?))
}

/// Returns all prices for runs of a namespace: the user's override those of its catalog, which
/// override the shipped ones.
///
/// # Errors
///
/// As [`in_force`]; if the registry fails, or a file of the catalog has problems.
pub async fn of_namespace(
    engine: &Engine,
    namespace: Option<&str>,
) -> Result<PriceTable, crate::Error> {
    let manifests = catalog::all(engine, namespace, CatalogKind::PriceTable).await?;
    Ok(in_force(engine.registry())?.with(of_manifests(manifests)))
}

/// Returns the shipped prices and those of price tables, as a server without prices of its own has
/// them in force.
///
/// # Errors
///
/// Only if this program was built with a damaged table, which a test excludes.
pub fn with_tables(
    manifests: impl IntoIterator<Item = CatalogManifest>,
) -> Result<PriceTable, Error> {
    Ok(shipped()?.clone().with(of_manifests(manifests)))
}

fn of_manifests(
    manifests: impl IntoIterator<Item = CatalogManifest>,
) -> impl Iterator<Item = Price> {
    manifests.into_iter().flat_map(|manifest| match manifest.spec {
        CatalogSpec::PriceTable(table) => table.read(),
        CatalogSpec::Skill(_)
        | CatalogSpec::Config(_)
        | CatalogSpec::Service(_)
        | CatalogSpec::Tier(_)
        | CatalogSpec::Dispatcher(_)
        | CatalogSpec::Policy(_)
        | CatalogSpec::ModelRoute(_) => Vec::new(),
    })
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

fn users(registry: &Registry) -> Result<Vec<Price>, Error> {
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
