//! Names of definitions of the catalog in an agent file.

use errand_model::catalog::CatalogKind;
use serde_json::{Value, json};

use super::at::At;
use super::known::FileReference;
use super::names;
use super::reader::Reader;

/// Word of `dispatcher` for any dispatcher that can carry a run out.
pub const ANY_DISPATCHER: &str = "auto";

pub(super) fn skill(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let name = reader.text_that(at, names::is_slug, "cannot be a skill", names::SLUG_HINT)?;
    reader.refers_to(at, FileReference::Skill(name.clone()));
    Some(name)
}

pub(super) fn config(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let name = reader.text_that(at, names::is_slug, "cannot be a config", names::SLUG_HINT)?;
    reader.refers_to(at, FileReference::Config(name.clone()));
    Some(name)
}

pub(super) fn tier(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    definition(reader, at, CatalogKind::Tier)
}

pub(super) fn dispatcher(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    if at.text() == Some(ANY_DISPATCHER) {
        return Some(ANY_DISPATCHER.to_owned());
    }
    definition(reader, at, CatalogKind::Dispatcher)
}

pub(super) fn model_route(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    definition(reader, at, CatalogKind::ModelRoute)
}

pub(super) fn policy_name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    definition(reader, at, CatalogKind::Policy)
}

pub(super) fn needed_service(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    definition(reader, at, CatalogKind::Service)
}

pub(super) fn dependency_name(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    needed_service(reader, at).map(|name| json!({ "service": name }))
}

/// Reads the name of a definition of the catalog.
fn definition(reader: &mut Reader, at: &At<'_>, kind: CatalogKind) -> Option<String> {
    let complaint = "cannot be the name of a definition";
    let hint = "lower-case letters, digits, '-', '_' and '.', a letter or digit first";
    let name = reader.text_that(at, names::is_definition_name, complaint, hint)?;
    reader.refers_to(at, FileReference::Definition(kind, name.clone()));
    Some(name)
}
