//! Workers, which execute runs.

use super::route::{Answer, Area, KeyScope, Method, Route};
use crate::worker::Workers;

/// Routes about workers.
pub const AREA: Area = Area {
    name: "workers",
    says: "Workers, which execute runs.",
    routes: &[Route::new("list_workers", Method::Get, "/v1/workers", KeyScope::RunsRead)
        .says("Lists workers, and the caller's runs that each carries out.")
        .answers(&[Answer::json::<Workers>(200, "Those that were heard of lately, by name.")])],
};
