//! The brief: the document that an agent gets at boot.

use std::path::{Path, PathBuf};

use errand_agent::parcel::Parcel;
use errand_api::agent_file::{Agent, FileReference, PART_LIMIT_BYTES};
use errand_model::run::Run;
use serde_json::{Value, json};

use crate::error::{AgentUnsupported, IoFailure};

/// Checks that every skill and config that the agent names is in its folder.
///
/// # Errors
///
/// [`crate::error::AgentUnsupported`], which names the missing one and the paths that were
/// searched.
pub fn check(agent: &Agent, files: &Path) -> Result<(), AgentUnsupported> {
    let skills = agent.skills.iter().map(|slug| (slug, skill_places(slug)));
    let configs = agent.configs.iter().map(|slug| (slug, config_places(slug)));
    for (slug, places) in skills.chain(configs) {
        if find(files, &places).is_none() {
            let places = places.join(", ");
            return Err(AgentUnsupported {
                what: format!("{slug:?} is not in the agent's folder (looked for {places})"),
            });
        }
    }
    Ok(())
}

/// Skills or configs: name and file of each.
type Parts = Vec<(String, PathBuf)>;

/// Returns the files of an agent's skills and configs, as far as they exist.
pub(crate) fn parts(agent: &Agent, files: &Path) -> (Parts, Parts) {
    let found = |slugs: &[String], places: fn(&str) -> Vec<String>| -> Parts {
        let of = |slug: &String| Some((slug.clone(), find(files, &places(slug))?));
        slugs.iter().filter_map(of).collect()
    };
    (found(&agent.skills, skill_places), found(&agent.configs, config_places))
}

/// Returns the brief of a run. `input` is the payload as a document.
///
/// # Errors
///
/// If a skill or config cannot be read.
pub(crate) fn assemble(parcel: &Parcel, run: &Run, input: &Value) -> Result<Value, IoFailure> {
    let agent = &parcel.agent;
    let files = parcel.files_path();
    let read = |places: Vec<String>| -> Result<String, IoFailure> {
        let file = find(&files, &places).unwrap_or_else(|| files.join(&places[0]));
        std::fs::read_to_string(&file).map_err(IoFailure::of("read", file))
    };
    let mut skills = Vec::new();
    for slug in &agent.skills {
        skills.push(json!({ "slug": slug, "instructions": read(skill_places(slug))? }));
    }
    let mut configs = Vec::new();
    for slug in &agent.configs {
        configs.push(json!({ "slug": slug, "content": read(config_places(slug))? }));
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

fn skill_places(slug: &str) -> Vec<String> {
    FileReference::Skill(slug.to_owned()).places()
}

fn config_places(slug: &str) -> Vec<String> {
    FileReference::Config(slug.to_owned()).places()
}

fn find(files: &Path, places: &[String]) -> Option<PathBuf> {
    places.iter().map(|place| files.join(place)).find(|file| {
        file.metadata().is_ok_and(|found| found.is_file() && found.len() <= PART_LIMIT_BYTES)
    })
}
