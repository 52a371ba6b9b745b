//! The table of routes: everything that the gateway answers.
//!
//! The router, the OpenAPI document and the checks of bodies and queries are all made of it.

pub use super::route::{
    Answer, Area, Body, Header, KeyScope, Media, Method, Route, SchemaOf, schema_of,
};

/// The whole table, by area.
pub const fn areas() -> &'static [Area] {
    &[
        super::run::AREA,
        super::run_find::AREA,
        super::prune::AREA,
        super::proof::AREA,
        super::file::AREA,
        super::people::AREA,
        super::dead_letter::AREA,
        super::session::AREA,
        super::usage::AREA,
        super::worker::AREA,
        super::agent::AREA,
        super::task::AREA,
        super::catalog::AREA,
        super::callback::AREA,
        super::hook::AREA,
        super::schedule::AREA,
        super::access::AREA,
        super::meta::AREA,
    ]
}

/// The whole table.
pub fn all() -> impl Iterator<Item = &'static Route> {
    areas().iter().flat_map(|area| area.routes)
}
