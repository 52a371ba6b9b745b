//! Checks of several manifests together.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::DefinitionName;
use super::read::{ManifestFile, PlacedName};
use crate::agent_file::{Problems, closest};

/// Returns the problems of names that several manifests have.
pub fn duplicates(files: &[ManifestFile]) -> Vec<Problems> {
    let mut first: BTreeMap<DefinitionName, String> = BTreeMap::new();
    let mut found = Vec::new();
    for file in files {
        let mut problems = Vec::new();
        for placed in &file.manifests {
            let PlacedName { name, .. } = &placed.name;
            match first.get(name) {
                Some(elsewhere) => {
                    let message = format!("the {} {:?} is given twice", name.0.path_word(), name.1);
                    let hint = format!("first in {elsewhere}: keep one of them");
                    problems.push(placed.name.problem(message, Some(&hint)));
                }
                None => {
                    first.insert(name.clone(), file.source_name.clone());
                }
            }
        }
        found.extend((!problems.is_empty()).then(|| file.problems(problems)));
    }
    found
}

/// Returns the names that manifests refer to and that none of them defines.
pub fn names_outside(files: &[ManifestFile]) -> BTreeSet<DefinitionName> {
    let all = || files.iter().flat_map(|file| &file.manifests);
    let defined: BTreeSet<DefinitionName> = all().map(|placed| placed.name.name.clone()).collect();
    let named = all().flat_map(|placed| &placed.references).map(|name| name.name.clone());
    named.filter(|name| !defined.contains(name)).collect()
}

/// Returns the problems of references to names that are `unknown`. `known` has the names that a hint
/// may propose.
pub fn unknown_names(
    files: &[ManifestFile],
    unknown: &BTreeSet<DefinitionName>,
    known: &BTreeSet<DefinitionName>,
) -> Vec<Problems> {
    let problems_of = |file: &ManifestFile| {
        let names = file.manifests.iter().flat_map(|placed| &placed.references);
        let problems: Vec<_> = names
            .filter(|placed| unknown.contains(&placed.name))
            .map(|placed| {
                let (kind, name) = &placed.name;
                let others = known.iter().filter(|(other, _)| other == kind);
                let hint = match closest(name, others.map(|(_, name)| name.as_str())) {
                    Some(meant) => format!("did you mean {meant:?}?"),
                    None => format!("apply a {kind} of that name before, or together with this"),
                };
                let message = format!("there is no {} {name:?}", kind.path_word());
                placed.problem(message, Some(&hint))
            })
            .collect();
        (!problems.is_empty()).then(|| file.problems(problems))
    };
    files.iter().filter_map(problems_of).collect()
}
