//! Definitions of the catalog.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use errand_api::agent_file::Problems;
use errand_api::catalog::{
    CatalogApplied, CatalogBatch, CatalogChange, CatalogItem, CatalogKind, CatalogManifest,
    CatalogOutcome, CatalogPage, CatalogSpec, DefinitionName, ManifestFile,
};
use errand_api::error_code::ErrorCode;
use errand_api::gateway::agent::PageQuery;
use errand_api::gateway::catalog::{DefinitionQuery, DeletionQuery};
use errand_api::gateway::routes::KeyScope;
use errand_engine::catalog::CatalogProblem;
use errand_engine::operations::CatalogOperations as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, Params, Query};
use crate::refusal::Refusal;

/// Default number of definitions on a page.
const LIMIT: u32 = 50;
/// Largest number of definitions on a page.
const LARGEST_LIMIT: u32 = 500;

/// Manifests before they are read by their kinds.
#[derive(Debug, Deserialize)]
pub(crate) struct WrittenBatch {
    manifests: Vec<Box<RawValue>>,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /v1/catalog`
pub(crate) async fn apply_catalog(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(written): JsonBody<WrittenBatch>,
) -> Result<Json<CatalogApplied>, Refusal> {
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    for (index, manifest) in written.manifests.iter().enumerate() {
        match read(&format!("/manifests/{index}"), manifest) {
            Ok(manifest) if names.insert(manifest.name()) => manifests.push(manifest),
            Ok(manifest) => {
                let detail = format!("{:?} is given twice", manifest.metadata.name);
                let pointer = format!("/manifests/{index}/metadata/name");
                return Err(Refusal::field(ErrorCode::ManifestInvalid, &pointer, detail));
            }
            Err(found) => problems.push(found),
        }
    }
    refuse(&problems)?;
    check_programs(&caller, &manifests)?;
    let batch = CatalogBatch { manifests, dry_run: written.dry_run };
    Ok(Json(gateway.operations(&caller).apply_manifests(&batch).await?))
}

/// `GET /v1/catalog/{kind}`
pub(crate) async fn list_definitions(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<PageQuery>,
) -> Result<Json<CatalogPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let (kind, after) = (kind(&params)?, query.cursor.as_deref());
    Ok(Json(gateway.operations(&caller).list_definitions(kind, after, limit).await?))
}

/// `GET /v1/catalog/{kind}/{name}`
pub(crate) async fn get_definition(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<DefinitionQuery>,
) -> Result<Json<CatalogItem>, Refusal> {
    let definition = definition(&params)?;
    Ok(Json(gateway.operations(&caller).definition(&definition, query.version).await?))
}

/// `PUT /v1/catalog/{kind}/{name}`
pub(crate) async fn put_definition(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    JsonBody(written): JsonBody<Box<RawValue>>,
) -> Result<(StatusCode, Json<CatalogChange>), Refusal> {
    let (kind, name) = definition(&params)?;
    let manifest = read("the body", &written)
        .map_err(|problems| Refusal::of_files(ErrorCode::ManifestInvalid, &[problems]))?;
    if manifest.name() != (kind, name.clone()) {
        let (found_kind, found) = manifest.name();
        let (found, wanted) =
            (format!("{}/{found}", found_kind.path_word()), format!("{}/{name}", kind.path_word()));
        return Err(errand_engine::Error::from(CatalogProblem::OtherName { found, wanted }).into());
    }
    let manifests = vec![manifest];
    check_programs(&caller, &manifests)?;
    let batch = CatalogBatch { manifests, dry_run: false };
    let mut applied = gateway.operations(&caller).apply_manifests(&batch).await?;
    let change = applied
        .changes
        .pop()
        .ok_or_else(|| Refusal::new(ErrorCode::Internal, "the manifest was not applied"))?;
    let is_new = change.outcome == CatalogOutcome::Created;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(change)))
}

/// `DELETE /v1/catalog/{kind}/{name}`
pub(crate) async fn delete_definition(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<DeletionQuery>,
) -> Result<StatusCode, Refusal> {
    let definition = definition(&params)?;
    gateway.operations(&caller).delete_definition(&definition, query.force).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads a manifest; problems have their places in its text.
fn read(source_name: &str, written: &RawValue) -> Result<CatalogManifest, Problems> {
    // JSON is YAML.
    let file = ManifestFile::parse(source_name, written.get().as_bytes().to_vec())?;
    file.only()
}

/// Refuses a check of a service that is a program, unless the caller operates the server: the server
/// would execute it.
fn check_programs(caller: &Caller, manifests: &[CatalogManifest]) -> Result<(), Refusal> {
    let has_program = manifests.iter().any(|manifest| match &manifest.spec {
        CatalogSpec::Service(service) => {
            service.health.as_ref().is_some_and(|health| !health.command.is_empty())
        }
        CatalogSpec::Skill(_)
        | CatalogSpec::Config(_)
        | CatalogSpec::Tier(_)
        | CatalogSpec::Dispatcher(_)
        | CatalogSpec::PriceTable(_)
        | CatalogSpec::Policy(_)
        | CatalogSpec::ModelRoute(_) => false,
    });
    if !has_program {
        return Ok(());
    }
    let what = "a health check by a command, which the server executes,";
    caller.must(KeyScope::Admin, what)?;
    caller.must_operate(what)
}

/// Refuses manifests with problems.
fn refuse(problems: &[Problems]) -> Result<(), Refusal> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Refusal::of_files(ErrorCode::ManifestInvalid, problems))
}

/// Returns the kind in the path.
fn kind(params: &Params) -> Result<CatalogKind, Refusal> {
    let word = params.get("kind")?;
    let known = CatalogKind::ALL.iter().find(|kind| kind.path_word() == word);
    known.copied().ok_or_else(|| {
        let words: Vec<&str> = CatalogKind::ALL.iter().map(|kind| kind.path_word()).collect();
        let detail = format!("{word:?} is no kind of definition: {}", words.join(", "));
        Refusal::parameter("kind", detail)
    })
}

/// Returns kind and name in the path.
fn definition(params: &Params) -> Result<DefinitionName, Refusal> {
    Ok((kind(params)?, params.get("name")?.to_owned()))
}
