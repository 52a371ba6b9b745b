//! The brief: the document that an agent gets at boot.
//!
//! A run with instructions, context, skills or configs has one that is assembled and stored when the
//! run is admitted, so that a missing part refuses the run. The brief of any other run follows from
//! its first event: it is made for each attempt, and not stored.

mod by_key;
mod error;

use std::borrow::Cow;

use errand_agent::parcel::Parcel;
use errand_agent::redact::Redactor;
use errand_api::brief::{BRIEF_LIMIT_BYTES, Brief, BriefAgent, BriefConfig, BriefRun, BriefSkill};
use errand_api::catalog::CatalogSpec;
use errand_model::catalog::CatalogKind;
use errand_model::event::{RunCreated, RunKind};
use errand_model::run::Run;
use errand_model::{Blob, Digest, Encoding, Payload, RunBrief, RunId, digest_of_brief_key};
use serde_json::{Value, json};

pub(crate) use self::by_key::of_key;
pub use self::error::{BriefDamaged, BriefTooLarge, Error};
use crate::catalog::{self, CatalogProblem};
use crate::error::{AgentUnsupported, IoFailure, PayloadRefused};
use crate::parts::{self, NamedParts};
use crate::{Engine, environment, payload, secret_names};

/// Longest input that a brief holds; of a longer one it has the digest. The agent has its bytes in a
/// file anyway.
const INPUT_LIMIT_BYTES: u64 = 1024 * 1024;

/// Parts of a brief that a caller gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BriefParts {
    /// Instructions for this run.
    pub instructions: Option<String>,
    /// Context of this run, such as a repository and a change.
    pub context: Option<String>,
    /// Skills besides those of the agent.
    pub skills: Vec<String>,
    /// Configs besides those of the agent.
    pub configs: Vec<String>,
}

impl BriefParts {
    /// Returns true if the caller gives none.
    pub const fn is_empty(&self) -> bool {
        self.instructions.is_none()
            && self.context.is_none()
            && self.skills.is_empty()
            && self.configs.is_empty()
    }
}

/// Assembles and stores the brief of a run that is about to be admitted; `None` if it has no parts
/// besides input and facts, or no agent of its own. Values of secrets that this process knows are
/// masked in it.
///
/// # Errors
///
/// If a skill or config cannot be read; [`BriefTooLarge`]; [`AgentUnsupported`] for parts that no agent
/// would get.
pub(crate) fn stored(
    engine: &Engine,
    parcel: &Parcel,
    (run_id, spec): (&RunId, &RunCreated),
    parts: BriefParts,
) -> Result<Option<Box<RunBrief>>, Error> {
    let named = NamedParts::new(&parcel.agent, &parts.skills, &parts.configs);
    let has_agent = spec.plan.is_none() && spec.kind != RunKind::Service;
    if !has_agent && !parts.is_empty() {
        let what = "instructions, context, skills or configs for a coordinator".to_owned();
        return Err(AgentUnsupported { what }.into());
    }
    if named.is_empty() && parts.is_empty() || !has_agent {
        return Ok(None);
    }
    let names = secret_names::of_parcel(engine, parcel);
    let secrets = environment::secrets_here(engine.surroundings(), &names);
    let redactor = environment::redactor(&secrets);
    let brief = assembled(engine, parcel, (run_id, spec), (named, &parts))?;
    let bytes = canonical(brief, &redactor)?;
    let digest = engine.blobs().put_brief(run_id, &bytes)?;
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let blob = Blob { digest, size_bytes, encoding: Encoding::Json };
    let BriefParts { instructions, skills, configs, .. } = parts;
    let is_instructed = instructions.is_some();
    Ok(Some(Box::new(RunBrief { blob, is_instructed, skills, configs })))
}

/// Returns the canonical JSON of the brief for an attempt. `redactor` masks secrets that the process
/// which admitted the run did not know.
///
/// # Errors
///
/// If a skill or config cannot be read, or the stored brief is missing or damaged.
pub(crate) fn of_attempt(
    engine: &Engine,
    parcel: &Parcel,
    run: &Run,
    redactor: &Redactor,
) -> Result<Vec<u8>, Error> {
    let spec = &run.spec;
    if let (Some(_), Some(stored)) = (&spec.task, &spec.brief) {
        // The controller's document, byte for byte: its agent compares it with the key.
        return Ok(engine.blobs().get(&stored.blob.digest)?);
    }
    let brief = match &spec.brief {
        Some(stored) => load(engine, &run.id, stored)?,
        None => {
            let named = NamedParts::of_run(&parcel.agent, spec);
            assembled(engine, parcel, (&run.id, spec), (named, &BriefParts::default()))?
        }
    };
    canonical(brief, redactor)
}

/// Returns the parts that the caller of a run gave.
///
/// # Errors
///
/// If the stored brief is missing or damaged.
pub(crate) fn parts_of(engine: &Engine, run: &Run) -> Result<BriefParts, Error> {
    let own = run.spec.brief.as_ref().filter(|_| run.spec.task.is_none());
    let Some(stored) = own else { return Ok(BriefParts::default()) };
    let brief = load(engine, &run.id, stored)?;
    Ok(BriefParts {
        instructions: brief.instructions.filter(|_| stored.is_instructed),
        context: brief.context,
        skills: stored.skills.clone(),
        configs: stored.configs.clone(),
    })
}

/// Returns the brief with this key, which may be one of another registry that keeps its blobs in the
/// same place; `None` if there is none.
///
/// # Errors
///
/// [`BriefDamaged`] if the document is not the one that the key names; if blobs cannot be reached.
pub fn by_key(engine: &Engine, key: &str) -> Result<Option<Vec<u8>>, Error> {
    let run_id = key.split('/').nth(1).and_then(|part| part.parse().ok());
    let (Some(run_id), Some(digest)) = (run_id, digest_of_brief_key(key)) else {
        return Ok(None);
    };
    let found = engine.blobs().brief(key, BRIEF_LIMIT_BYTES)?;
    if found.as_ref().is_some_and(|bytes| Digest::of(bytes) != digest) {
        let reason = format!("the document at {key} has another digest");
        return Err(BriefDamaged { run_id, reason }.into());
    }
    Ok(found)
}

fn load(engine: &Engine, run_id: &RunId, stored: &RunBrief) -> Result<Brief, Error> {
    let bytes = engine.blobs().get(&stored.blob.digest)?;
    Ok(serde_json::from_slice(&bytes)
        .map_err(|error| BriefDamaged { run_id: run_id.clone(), reason: error.to_string() })?)
}

fn assembled(
    engine: &Engine,
    parcel: &Parcel,
    (run_id, spec): (&RunId, &RunCreated),
    (named, given): (NamedParts<'_>, &BriefParts),
) -> Result<Brief, Error> {
    let agent = &parcel.agent;
    let (mut skills, mut configs) = (Vec::new(), Vec::new());
    for (kind, slug) in named.names() {
        let text = text(engine, parcel, spec, (kind, slug))?;
        let slug = slug.clone();
        match kind {
            CatalogKind::Skill => skills.push(BriefSkill { slug, instructions: text }),
            CatalogKind::Config => configs.push(BriefConfig { slug, content: text }),
            CatalogKind::Service
            | CatalogKind::Tier
            | CatalogKind::Dispatcher
            | CatalogKind::PriceTable
            | CatalogKind::Policy
            | CatalogKind::ModelRoute => {}
        }
    }
    Ok(Brief {
        task_id: run_id.clone(),
        task_name: spec.name.as_ref().unwrap_or(&agent.name).clone(),
        skills,
        configs,
        secrets: agent.visible_secrets().cloned().collect(),
        instructions: given.instructions.clone().or_else(|| agent.description.clone()),
        context: given.context.clone(),
        input: input(engine, spec)?,
        run: BriefRun {
            agent: BriefAgent {
                name: agent.name.clone(),
                version: agent.version.clone(),
                digest: parcel.digest.clone(),
            },
            kind: spec.kind,
            trigger: spec.trigger.clone(),
            labels: spec.labels.clone(),
            session_id: spec.session_id.clone(),
        },
    })
}

/// Returns the input of a run as a document.
fn input(engine: &Engine, spec: &RunCreated) -> Result<Value, Error> {
    match &spec.input {
        None => Ok(Value::Null),
        Some(Payload::Blob(blob)) if blob.size_bytes > INPUT_LIMIT_BYTES => {
            Ok(json!({ payload::SHORTENED: blob }))
        }
        Some(input) => Ok(payload::to_json(&engine.blobs(), input)?),
    }
}

/// Returns the canonical JSON of a brief in which secrets are masked.
fn canonical(mut brief: Brief, redactor: &Redactor) -> Result<Vec<u8>, Error> {
    mask(&mut brief, redactor);
    let document = serde_json::to_value(brief).map_err(|error| PayloadRefused {
        reason: format!("the brief cannot be written as JSON: {error}"),
    })?;
    let text = errand_model::canonical::to_string(&document);
    if text.len() > BRIEF_LIMIT_BYTES {
        return Err(BriefTooLarge::new(text.len(), &document).into());
    }
    Ok(text.into_bytes())
}

/// Masks secrets in all texts of a brief. Its shape, and the names of parts and of secrets, stay.
fn mask(brief: &mut Brief, redactor: &Redactor) {
    let Brief { task_name, skills, configs, instructions, context, input, run, .. } = brief;
    let BriefRun { trigger, labels, session_id, .. } = run;
    let texts = [Some(task_name), instructions.as_mut(), context.as_mut(), session_id.as_mut()];
    let texts = texts.into_iter().flatten().chain(trigger.source.as_mut());
    let texts = texts.chain(skills.iter_mut().map(|skill| &mut skill.instructions));
    let texts = texts.chain(configs.iter_mut().map(|config| &mut config.content));
    for text in texts {
        if let Cow::Owned(masked) = redactor.redact(text) {
            *text = masked;
        }
    }
    let masked = |text: String| redactor.redact(&text).into_owned();
    *labels = std::mem::take(labels)
        .into_iter()
        .map(|(key, value)| (masked(key), masked(value)))
        .collect();
    for document in trigger.payload.iter_mut().chain([input]) {
        redactor.redact_json(document);
    }
}

/// Returns the text of a skill or config: of the parcel's file, else of the pinned definition.
fn text(
    engine: &Engine,
    parcel: &Parcel,
    spec: &RunCreated,
    (kind, slug): (CatalogKind, &String),
) -> Result<String, Error> {
    if let Some(file) = parts::find(&parcel.files_path(), kind, slug) {
        return Ok(std::fs::read_to_string(&file).map_err(IoFailure::of("read", file))?);
    }
    let manifest = catalog::manifest_of(engine, &spec.catalog, kind, slug)?;
    match manifest.map(|manifest| manifest.spec) {
        Some(CatalogSpec::Skill(skill)) => Ok(skill.instructions),
        Some(CatalogSpec::Config(config)) => Ok(config.content),
        Some(
            CatalogSpec::Service(_)
            | CatalogSpec::Tier(_)
            | CatalogSpec::Dispatcher(_)
            | CatalogSpec::PriceTable(_)
            | CatalogSpec::Policy(_)
            | CatalogSpec::ModelRoute(_),
        )
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
