//! Skills and configs of a run: those that its agent names and those that its caller added, as files
//! of the agent's folder.

use std::path::{Path, PathBuf};

use errand_api::agent_file::{Agent, FileReference, PART_LIMIT_BYTES};
use errand_api::catalog::DefinitionName;
use errand_model::catalog::CatalogKind;
use errand_model::event::RunCreated;

/// Skills or configs: name and file of each.
type Parts = Vec<(String, PathBuf)>;

/// Skills and configs of a run, each once: those of its agent, then those that its caller added.
#[derive(Clone, Copy, Debug)]
pub struct NamedParts<'a> {
    agent: &'a Agent,
    skills: &'a [String],
    configs: &'a [String],
}

impl<'a> NamedParts<'a> {
    /// Returns the parts of an agent, with skills and configs that a caller added.
    pub const fn new(agent: &'a Agent, skills: &'a [String], configs: &'a [String]) -> Self {
        Self { agent, skills, configs }
    }

    /// Returns the parts of an agent alone.
    pub const fn of_agent(agent: &'a Agent) -> Self {
        Self::new(agent, &[], &[])
    }

    /// Returns the parts of a run of that agent.
    pub fn of_run(agent: &'a Agent, spec: &'a RunCreated) -> Self {
        match spec.brief.as_deref() {
            Some(brief) => Self::new(agent, &brief.skills, &brief.configs),
            None => Self::of_agent(agent),
        }
    }

    /// Returns true if there are none.
    pub fn is_empty(self) -> bool {
        self.names().next().is_none()
    }

    /// Returns kinds and names.
    pub fn names(self) -> impl Iterator<Item = (CatalogKind, &'a String)> {
        let Self { agent, skills, configs } = self;
        let all = |kind, own: &'a [String], added: &'a [String]| {
            let added = added.iter().enumerate().filter(move |(index, slug)| {
                !own.contains(slug) && !added.iter().take(*index).any(|earlier| earlier == *slug)
            });
            own.iter().chain(added.map(|(_, slug)| slug)).map(move |slug| (kind, slug))
        };
        let skills = all(CatalogKind::Skill, &agent.skills, skills);
        skills.chain(all(CatalogKind::Config, &agent.configs, configs))
    }

    /// Returns the files of skills and of configs, as far as they exist.
    pub(crate) fn files(self, folder: &Path) -> (Parts, Parts) {
        let found = |kind: CatalogKind| -> Parts {
            let of =
                |(_, slug): (CatalogKind, &String)| Some((slug.clone(), find(folder, kind, slug)?));
            self.names().filter(|(of, _)| *of == kind).filter_map(of).collect()
        };
        (found(CatalogKind::Skill), found(CatalogKind::Config))
    }

    /// Returns the parts that are not in the agent's folder.
    pub fn absent(self, folder: &Path) -> Vec<DefinitionName> {
        let is_absent = |(kind, slug): &(CatalogKind, &String)| find(folder, *kind, slug).is_none();
        self.names().filter(is_absent).map(|(kind, slug)| (kind, slug.clone())).collect()
    }
}

/// Returns the files of an agent's folder that a skill or config can be; none for another kind.
pub(crate) fn places(kind: CatalogKind, slug: &str) -> Vec<String> {
    match kind {
        CatalogKind::Skill => FileReference::Skill(slug.to_owned()).places(),
        CatalogKind::Config => FileReference::Config(slug.to_owned()).places(),
        CatalogKind::Service
        | CatalogKind::Tier
        | CatalogKind::Dispatcher
        | CatalogKind::PriceTable
        | CatalogKind::Policy
        | CatalogKind::ModelRoute => Vec::new(),
    }
}

/// Returns the file of a skill or config.
pub(crate) fn find(files: &Path, kind: CatalogKind, slug: &str) -> Option<PathBuf> {
    places(kind, slug).iter().map(|place| files.join(place)).find(|file| {
        file.metadata().is_ok_and(|found| found.is_file() && found.len() <= PART_LIMIT_BYTES)
    })
}
