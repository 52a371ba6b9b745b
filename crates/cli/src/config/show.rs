//! Rendering of the configuration: values in force, with their sources.

use std::path::Path;

use errand_api::config::{SettingKind, SettingValue};
use serde_json::json;

use super::resolve::{Configuration, InForce, Source};

/// Replacement of a secret.
const MASK: &str = "***";
/// Units of sizes, the largest first.
const SIZES: &[(&str, u64)] = &[("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
/// Units of durations in milliseconds, the largest first.
const LENGTHS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

impl Configuration {
    /// Returns everything as JSON, secrets masked.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let settings: Vec<_> = self
            .in_force
            .iter()
            .map(|it| {
                let value = it.value.as_ref().map(|value| masked(it, value));
                let source = match it.source {
                    Source::Flag(flag) => json!({ "kind": "flag", "name": format!("--{flag}") }),
                    Source::Variable(name) => json!({ "kind": "environment", "name": name }),
                    Source::File(line) => {
                        json!({ "kind": "file", "path": self.file, "line": line })
                    }
                    Source::Default => json!({ "kind": "default" }),
                };
                json!({ "name": it.setting.path, "value": value, "source": source })
            })
            .collect();
        json!({ "schema": 1, "file": self.file, "settings": settings })
    }
}

impl InForce {
    /// Returns the value as it would be typed, secrets masked; `-` for none.
    pub(crate) fn shown(&self) -> String {
        let Some(value) = &self.value else { return "-".to_owned() };
        match masked(self, value) {
            SettingValue::Text(text) => text,
            SettingValue::Number(number) => match self.setting.kind {
                SettingKind::Duration | SettingKind::Delay => in_units(number, LENGTHS, "ms"),
                SettingKind::Bytes => in_units(number, SIZES, "B"),
                SettingKind::Cpu => in_units(number, &[("", 1_000)], "m"),
                SettingKind::Text
                | SettingKind::Path
                | SettingKind::PathOrUrl
                | SettingKind::Choice(_)
                | SettingKind::Whole(_, _)
                | SettingKind::Texts
                | SettingKind::Paths
                | SettingKind::Words
                | SettingKind::Namespaces => number.to_string(),
            },
            SettingValue::Texts(texts) => texts.join(","),
            SettingValue::Words(words) => {
                let pairs: Vec<_> =
                    words.iter().map(|(key, word)| format!("{key}={word}")).collect();
                pairs.join(",")
            }
            SettingValue::Namespaces(limits) => {
                serde_json::to_string(&limits).unwrap_or_else(|_| MASK.to_owned())
            }
        }
    }

    /// Returns the source in a word or two.
    pub(crate) fn from(&self, file: Option<&Path>) -> String {
        match self.source {
            Source::Flag(flag) => format!("--{flag}"),
            Source::Variable(name) => name.to_owned(),
            Source::File(line) => match file {
                Some(path) => format!("{}:{line}", path.display()),
                None => format!("line {line}"),
            },
            Source::Default => "default".to_owned(),
        }
    }
}

/// Formats a number in the largest unit that divides it.
fn in_units(number: u64, units: &[(&str, u64)], smallest: &str) -> String {
    let fits = |(_, size): &&(&str, u64)| number > 0 && number.is_multiple_of(*size);
    match units.iter().find(fits) {
        Some((unit, size)) => format!("{}{unit}", number / size),
        None => format!("{number}{smallest}"),
    }
}

fn masked(it: &InForce, value: &SettingValue) -> SettingValue {
    if !it.setting.is_secret {
        return value.clone();
    }
    match value {
        SettingValue::Text(text) => SettingValue::Text(without_password(text)),
        SettingValue::Words(words) => {
            SettingValue::Words(words.keys().map(|key| (key.clone(), MASK.to_owned())).collect())
        }
        SettingValue::Number(_) | SettingValue::Texts(_) | SettingValue::Namespaces(_) => {
            SettingValue::Text(MASK.to_owned())
        }
    }
}

/// Masks the password and the parameters of an address. Any text that is no such address is masked
/// whole.
pub(crate) fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return MASK.to_owned() };
    let (rest, parameters) = match rest.split_once('?') {
        Some((rest, _)) => (rest, format!("?{MASK}")),
        None => (rest, String::new()),
    };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split_once(':').map_or(user, |(name, _)| name);
            let password = if user.contains(':') { format!(":{MASK}") } else { String::new() };
            format!("{scheme}://{name}{password}@{host}{parameters}")
        }
        None => format!("{scheme}://{rest}{parameters}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_they_would_be_typed() {
        assert_eq!(in_units(15_000, LENGTHS, "ms"), "15s");
        assert_eq!(in_units(1_500, LENGTHS, "ms"), "1500ms");
        assert_eq!(in_units(16 << 20, SIZES, "B"), "16Mi");
        assert_eq!(in_units(500, &[("", 1_000)], "m"), "500m");
        assert_eq!(in_units(0, SIZES, "B"), "0B");
    }

    #[test]
    fn passwords_of_addresses_are_not_shown() {
        let shown = without_password;
        assert_eq!(shown("postgres://ada:p@ss:w@db/x"), "postgres://ada:***@db/x");
        assert_eq!(shown("postgres://ada@db/x?password=p"), "postgres://ada@db/x?***");
        assert_eq!(shown("host=db password=p"), "***");
    }
}
