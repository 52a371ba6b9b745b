//! Skills and configs that an agent names, as files of its folder.

use std::path::{Path, PathBuf};

use errand_api::agent_file::{Agent, FileReference, PART_LIMIT_BYTES};
use errand_api::catalog::DefinitionName;
use errand_model::catalog::CatalogKind;

/// Skills or configs: name and file of each.
type Parts = Vec<(String, PathBuf)>;

/// Returns the files of an agent's skills and configs, as far as they exist.
pub(crate) fn files(agent: &Agent, files: &Path) -> (Parts, Parts) {
    let found = |kind, slugs: &[String]| -> Parts {
        let of = |slug: &String| Some((slug.clone(), find(files, kind, slug)?));
        slugs.iter().filter_map(of).collect()
    };
    (found(CatalogKind::Skill, &agent.skills), found(CatalogKind::Config, &agent.configs))
}

/// Returns the skills and configs that an agent names and that are not in its folder.
pub fn absent(agent: &Agent, files: &Path) -> Vec<DefinitionName> {
    let is_absent = |(kind, slug): &(CatalogKind, &String)| find(files, *kind, slug).is_none();
    let named = named(agent).filter(is_absent);
    named.map(|(kind, slug)| (kind, slug.clone())).collect()
}

/// Returns the skills and configs that an agent names.
pub(crate) fn named(agent: &Agent) -> impl Iterator<Item = (CatalogKind, &String)> {
    let skills = agent.skills.iter().map(|slug| (CatalogKind::Skill, slug));
    skills.chain(agent.configs.iter().map(|slug| (CatalogKind::Config, slug)))
}

/// Returns the files of an agent's folder that a skill or config can be; none for another kind.
pub(crate) fn places(kind: CatalogKind, slug: &str) -> Vec<String> {
    match kind {
        CatalogKind::Skill => FileReference::Skill(slug.to_owned()).places(),
        CatalogKind::Config => FileReference::Config(slug.to_owned()).places(),
        CatalogKind::Service | CatalogKind::Tier | CatalogKind::Dispatcher => Vec::new(),
    }
}

/// Returns the file of a skill or config.
pub(crate) fn find(files: &Path, kind: CatalogKind, slug: &str) -> Option<PathBuf> {
    places(kind, slug).iter().map(|place| files.join(place)).find(|file| {
        file.metadata().is_ok_and(|found| found.is_file() && found.len() <= PART_LIMIT_BYTES)
    })
}
