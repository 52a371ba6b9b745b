//! The configuration file, `errand.yaml`.

use std::collections::BTreeMap;

use errand_model::parse_namespace;

use super::kind::{NamespaceLimits, SettingKind, SettingValue};
use super::setting::Setting;
use super::table::SETTINGS;
use crate::agent_file::at::{At, field_of};
use crate::agent_file::quantity::{cpu_millis, memory_bytes};
use crate::agent_file::reader::{Object, Reader};
use crate::agent_file::yaml;
use crate::agent_file::{AgentFileProblem, Problems};

/// The name of the file, in the folder that the registry is in.
pub const FILE_NAME: &str = "errand.yaml";

const NAMESPACE_FIELDS: &[&str] = &["max_concurrent_runs"];

/// A setting that the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSetting {
    /// Value of the setting.
    pub value: SettingValue,
    /// On which line; counts from 1.
    pub line: usize,
}

/// The settings that a file called `source_name` says, by name. An empty file says none.
///
/// # Errors
///
/// [`Problems`]: everything that is wrong with it.
pub fn parse(
    source_name: &str,
    bytes: &[u8],
) -> Result<BTreeMap<&'static str, FileSetting>, Problems> {
    let is_empty = std::str::from_utf8(bytes).is_ok_and(|text| {
        text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    });
    if is_empty {
        return Ok(BTreeMap::new());
    }
    let root = yaml::load(bytes).map_err(without_hints).and_then(|root| read(&root));
    root.map_err(|problems| Problems::new(source_name, bytes, problems))
}

/// The hints of the loader are about agent files.
fn without_hints(problems: Vec<AgentFileProblem>) -> Vec<AgentFileProblem> {
    let about_agents = |hint: &String| hint.contains("agent") || hint.contains("Agent");
    problems
        .into_iter()
        .map(|problem| AgentFileProblem {
            hint: problem.hint.filter(|it| !about_agents(it)),
            ..problem
        })
        .collect()
}

fn read(root: &yaml::Node) -> Result<BTreeMap<&'static str, FileSetting>, Vec<AgentFileProblem>> {
    let mut reader = Reader::default();
    let mut given = BTreeMap::new();
    let at = At { node: root, path: String::new() };
    if let Some(fields) = reader.object(&at, &names_below("")) {
        for setting in SETTINGS {
            let (section, name) = setting.path.split_once('.').unwrap_or(("", setting.path));
            if section.is_empty() {
                take(&mut reader, &fields, name, setting, &mut given);
            }
        }
        for section in sections() {
            let Some(at) = fields.get(section) else { continue };
            let Some(fields) = reader.object(&at, &names_below(section)) else { continue };
            for setting in SETTINGS {
                if let Some((of, name)) = setting.path.split_once('.')
                    && of == section
                {
                    take(&mut reader, &fields, name, setting, &mut given);
                }
            }
        }
    }
    if reader.problems.is_empty() { Ok(given) } else { Err(reader.problems) }
}

fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> =
        SETTINGS.iter().filter_map(|setting| Some(setting.path.split_once('.')?.0)).collect();
    sections.dedup();
    sections
}

/// Returns the names that may stand in a section, or at the top.
fn names_below(section: &str) -> Vec<&'static str> {
    let mut names: Vec<_> = SETTINGS
        .iter()
        .filter_map(|setting| match setting.path.split_once('.') {
            Some((of, name)) if of == section => Some(name),
            Some((of, _)) if section.is_empty() => Some(of),
            None if section.is_empty() => Some(setting.path),
            Some(_) | None => None,
        })
        .collect();
    names.dedup();
    names
}

fn take(
    reader: &mut Reader,
    fields: &Object<'_>,
    name: &str,
    setting: &'static Setting,
    given: &mut BTreeMap<&'static str, FileSetting>,
) {
    let Some(at) = fields.get(name) else { return };
    if let Some(value) = value(reader, &at, setting.kind) {
        given.insert(setting.path, FileSetting { value, line: at.node.place.line });
    }
}

fn value(reader: &mut Reader, at: &At<'_>, kind: SettingKind) -> Option<SettingValue> {
    match kind {
        SettingKind::Text | SettingKind::Path | SettingKind::PathOrUrl => {
            reader.text(at).map(SettingValue::Text)
        }
        SettingKind::Choice(words) => {
            let choices: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
            reader
                .choice(at, "a known word", &choices)
                .map(|word| SettingValue::Text(word.to_owned()))
        }
        SettingKind::Whole(low, high) => reader.whole(at, low..=high).map(SettingValue::Number),
        SettingKind::Duration => reader.duration_ms(at).map(SettingValue::Number),
        SettingKind::Delay => reader.delay_ms(at).map(SettingValue::Number),
        SettingKind::Bytes => memory_bytes(reader, at).map(SettingValue::Number),
        SettingKind::Cpu => cpu_millis(reader, at).map(SettingValue::Number),
        SettingKind::Texts | SettingKind::Paths => Some(SettingValue::Texts(reader.texts(at))),
        SettingKind::Words => {
            let words = reader.words_by_key(at, |_| Ok(()), "write the word, or remove the line");
            Some(SettingValue::Words(words))
        }
        SettingKind::Namespaces => namespaces(reader, at),
    }
}

fn namespaces(reader: &mut Reader, at: &At<'_>) -> Option<SettingValue> {
    let mut limits = BTreeMap::new();
    for entry in reader.entries(at)? {
        let field = field_of(at, entry);
        if let Err(error) = parse_namespace(&entry.key) {
            reader.report_at(entry.key_place, &field.path, error.to_string(), None);
            continue;
        }
        let Some(fields) = reader.object(&field, NAMESPACE_FIELDS) else { continue };
        let max_concurrent_runs =
            fields.get("max_concurrent_runs").and_then(|at| reader.whole32(&at, 1..=u32::MAX));
        limits.insert(entry.key.clone(), NamespaceLimits { max_concurrent_runs });
    }
    Some(SettingValue::Namespaces(limits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        parse("errand.yaml", text.as_bytes()).map_or_else(|it| it.to_string(), |_| String::new())
    }

    #[test]
    fn a_file_says_settings_with_their_lines() {
        let text = "listen: 0.0.0.0:80\nlimits:\n  body: 1Mi\nnamespaces:\n  team-a: { max_concurrent_runs: 2 }\n";
        let given = parse("errand.yaml", text.as_bytes()).unwrap_or_default();
        let limits = NamespaceLimits { max_concurrent_runs: Some(2) };
        let expected = [
            ("limits.body", SettingValue::Number(1 << 20), 3),
            ("listen", SettingValue::Text("0.0.0.0:80".to_owned()), 1),
            ("namespaces", SettingValue::Namespaces([("team-a".to_owned(), limits)].into()), 5),
        ];
        let expected =
            expected.map(|(path, value, line)| (path, FileSetting { value, line })).into_iter();
        assert_eq!(given, expected.collect());
        assert_eq!(parse("errand.yaml", b"# nothing\n"), Ok(BTreeMap::new()));
    }

    #[test]
    fn what_is_not_known_is_told_with_its_place() {
        assert_eq!(
            problems("listn: x\nlimits: { bodi: 1Mi }\nlease: 15\nlog: { level: loud }\n"),
            "errand.yaml:1:1: listn: unknown field \"listn\"\n  \
             hint: did you mean \"listen\"?\n\
             errand.yaml:2:11: limits.bodi: unknown field \"bodi\"\n  \
             hint: did you mean \"body\"?\n\
             errand.yaml:3:8: lease: the duration 15 has no unit\n  \
             hint: write 15s for seconds, 15ms for milliseconds, 15m for minutes\n\
             errand.yaml:4:15: log.level: \"loud\" is not a known word\n  \
             hint: one of: off, error, warn, info, debug, trace"
        );
    }
}
