//! Choice of the source of each setting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use errand_api::config::{
    Contradiction, FileSetting, SETTINGS, Setting, SettingKind, SettingValue, Settings,
};
use errand_api::error_code::ErrorCode;

use super::file;
use super::flags::{Flags, is_repeated};
use crate::context::Context;
use crate::failure::Failure;

/// Path of the setting with the largest output of a run.
const OUTPUT_LIMIT: &str = "limits.output";

/// Source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A flag.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// A line of the file.
    File(usize),
    /// The default.
    Default,
}

/// A setting with its value in force.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) setting: &'static Setting,
    /// `None` for no value.
    pub(crate) value: Option<SettingValue>,
    pub(crate) source: Source,
}

/// All settings with their values in force.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// Path of the file that was read.
    pub(crate) file: Option<PathBuf>,
    /// In the order of the table.
    pub(crate) in_force: Vec<InForce>,
}

impl Configuration {
    /// Reads all sources.
    pub(crate) fn load<const WORKER: bool>(
        context: &Context,
        flags: &Flags<WORKER>,
    ) -> Result<Self, Failure> {
        let read = file::read(context, flags.file.as_deref())?;
        let (file, mut given) = match read {
            Some(read) => (Some(read.path), read.given),
            None => (None, BTreeMap::new()),
        };
        let mut in_force = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let typed = flags.typed.get(setting.path).map(Vec::as_slice);
            let from_file = given.remove(setting.path);
            let (value, source) = one(context, setting, typed, from_file, file.as_deref())?;
            in_force.push(InForce { setting, value, source });
        }
        Ok(Self { file, in_force })
    }

    /// Returns the typed settings.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        Settings::of(|path| self.value(path)).map_err(|error| match error {
            Contradiction::HalfTls => Failure::new(ErrorCode::TlsInvalid, error.to_string())
                .hint("give both --tls-cert and --tls-key"),
        })
    }

    /// Returns the value of a setting.
    fn value(&self, path: &str) -> Option<&SettingValue> {
        self.in_force.iter().find(|it| it.setting.path == path)?.value.as_ref()
    }
}

/// Returns the largest output of a run for commands that run agents but have no flag for it: from
/// the environment, or else from the file.
///
/// A file that cannot be read is ignored here: `errand up` and `errand config check` refuse it, and
/// a run that has begun does not depend on it.
pub(crate) fn output_limit(context: &Context) -> Result<u64, Failure> {
    let Some(setting) = errand_api::config::setting(OUTPUT_LIMIT) else { return Ok(u64::MAX) };
    let read = file::read(context, None).ok().flatten();
    let (path, given) = match read {
        Some(mut read) => (Some(read.path), read.given.remove(OUTPUT_LIMIT)),
        None => (None, None),
    };
    match one(context, setting, None, given, path.as_deref())? {
        (Some(SettingValue::Number(bytes)), _) => Ok(bytes),
        (Some(_) | None, _) => Ok(u64::MAX),
    }
}

/// Returns the value of one setting from the first source that has it.
fn one(
    context: &Context,
    setting: &'static Setting,
    typed: Option<&[String]>,
    given: Option<FileSetting>,
    file: Option<&Path>,
) -> Result<(Option<SettingValue>, Source), Failure> {
    if let Some(typed) = typed {
        let flag = setting.flag.unwrap_or(setting.path);
        let value = typed_value(setting.kind, typed)
            .map_err(|reason| unreadable(&format!("--{flag}"), &reason))?;
        return Ok((Some(at_home(value, setting.kind, &context.cwd)), Source::Flag(flag)));
    }
    for name in setting.variables {
        let Some(text) = context.variable(name) else { continue };
        let text = text.to_str().ok_or_else(|| unreadable(name, "it is not UTF-8"))?;
        let value =
            setting.kind.read(text).map_err(|error| unreadable(name, &error.to_string()))?;
        return Ok((Some(at_home(value, setting.kind, &context.cwd)), Source::Variable(name)));
    }
    if let Some(FileSetting { value, line }) = given {
        let folder = file.and_then(Path::parent).unwrap_or(&context.cwd);
        return Ok((Some(at_home(value, setting.kind, folder)), Source::File(line)));
    }
    let default = setting.default.and_then(|text| setting.kind.read(text).ok());
    Ok((default, Source::Default))
}

/// Parses the values of a flag, item by item if it may be repeated.
fn typed_value(kind: SettingKind, typed: &[String]) -> Result<SettingValue, String> {
    let last = typed.last().map(String::as_str).unwrap_or_default();
    if !is_repeated(kind) {
        return kind.read(last).map_err(|error| error.to_string());
    }
    if typed.iter().any(|item| item.trim().is_empty()) {
        return Err("it is empty".to_owned());
    }
    if kind != SettingKind::Words {
        return Ok(SettingValue::Texts(typed.to_vec()));
    }
    let pairs = typed.iter().map(|item| match item.split_once('=') {
        Some((key, word)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), word.trim().to_owned()))
        }
        Some(_) | None => Err("write key=word".to_owned()),
    });
    pairs.collect::<Result<_, _>>().map(SettingValue::Words)
}

/// Resolves paths relative to the folder of their source.
fn at_home(value: SettingValue, kind: SettingKind, folder: &Path) -> SettingValue {
    let joined = |path: &String| folder.join(path).display().to_string();
    match value {
        SettingValue::Text(path) if kind == SettingKind::Path => SettingValue::Text(joined(&path)),
        SettingValue::Text(path) if kind == SettingKind::PathOrUrl && !path.contains("://") => {
            SettingValue::Text(joined(&path))
        }
        SettingValue::Texts(paths) if kind == SettingKind::Paths => {
            SettingValue::Texts(paths.iter().map(joined).collect())
        }
        value @ (SettingValue::Text(_)
        | SettingValue::Number(_)
        | SettingValue::Texts(_)
        | SettingValue::Words(_)
        | SettingValue::Namespaces(_)) => value,
    }
}

fn unreadable(what: &str, reason: &str) -> Failure {
    Failure::new(ErrorCode::ConfigInvalid, format!("{what} cannot be understood: {reason}"))
}
