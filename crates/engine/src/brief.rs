//! The brief: the document that an agent gets at boot.
//!
//! A skill or config is a file of the agent's parcel or, if the parcel has none of that name, the
//! definition of the catalog that the run has pinned.

use errand_agent::parcel::Parcel;
use errand_api::catalog::CatalogSpec;
use errand_model::catalog::CatalogKind;
use errand_model::run::Run;
use serde_json::{Value, json};

use crate::catalog::{self, CatalogProblem};
use crate::error::{IoFailure, operation_error};
use crate::{Engine, parts};

operation_error! {
    /// Error: a brief cannot be assembled.
    pub enum Error {
        /// A pinned definition is missing or damaged.
        Catalog(catalog::Error),
        /// A file of the parcel cannot be read.
        Io(IoFailure),
    }
}

/// Returns the brief of a run. `input` is the payload as a document.
///
/// # Errors
///
/// If a skill or config cannot be read.
pub(crate) fn assemble(
    engine: &Engine,
    parcel: &Parcel,
    run: &Run,
    input: &Value,
) -> Result<Value, Error> {
    let agent = &parcel.agent;
    let (mut skills, mut configs) = (Vec::new(), Vec::new());
    for (kind, slug) in parts::named(agent) {
        let text = text(engine, parcel, run, (kind, slug))?;
        match kind {
            CatalogKind::Skill => skills.push(json!({ "slug": slug, "instructions": text })),
            CatalogKind::Config => configs.push(json!({ "slug": slug, "content": text })),
            CatalogKind::Service | CatalogKind::Tier | CatalogKind::Dispatcher => {}
        }
    }
    Ok(json!({
        "task_id": run.id,
        "task_name": run.spec.name.as_ref().unwrap_or(&agent.name),
        "skills": skills,
        "configs": configs,
        "instructions": agent.description,
        "context": {
            "agent": { "name": agent.name, "version": agent.version, "digest": parcel.digest },
            "kind": run.spec.kind,
            "trigger": run.spec.trigger,
            "labels": run.spec.labels,
            "session_id": run.spec.session_id,
        },
        "input": input,
    }))
}

/// Returns the text of a skill or config: of the parcel's file, else of the pinned definition.
fn text(
    engine: &Engine,
    parcel: &Parcel,
    run: &Run,
    (kind, slug): (CatalogKind, &String),
) -> Result<String, Error> {
    if let Some(file) = parts::find(&parcel.files_path(), kind, slug) {
        return Ok(std::fs::read_to_string(&file).map_err(IoFailure::of("read", file))?);
    }
    let manifest = catalog::manifest_of(engine, &run.spec.catalog, kind, slug)?;
    match manifest.map(|manifest| manifest.spec) {
        Some(CatalogSpec::Skill(skill)) => Ok(skill.instructions),
        Some(CatalogSpec::Config(config)) => Ok(config.content),
        Some(CatalogSpec::Service(_) | CatalogSpec::Tier(_) | CatalogSpec::Dispatcher(_))
        | None => {
            let problem = CatalogProblem::BriefUnassembled {
                agent: parcel.agent.name.clone(),
                kind,
                name: slug.clone(),
                hint: "the run has pinned none: start a new run".to_owned(),
            };
            Err(catalog::Error::from(problem).into())
        }
    }
}
