//! Kinds of settings, as text and as a node of the file.

use std::collections::BTreeMap;

use errand_model::{MalformedDuration, parse_duration};
use serde::Serialize;
use thiserror::Error;

use crate::agent_file::quantity::{decimal, parse_memory};
use crate::agent_file::reader::MAX_DURATION_MS;

/// Kind of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// Any text.
    Text,
    /// A path; a relative one is looked for beside the file that names it, or in the current
    /// folder.
    Path,
    /// A path as [`SettingKind::Path`], or a URL.
    PathOrUrl,
    /// A word of this list.
    Choice(&'static [&'static str]),
    /// A whole number from the first to the second.
    Whole(u64, u64),
    /// A duration above zero.
    Duration,
    /// A duration that may be zero.
    Delay,
    /// An amount of memory or a size of a file.
    Bytes,
    /// Cores, in thousandths.
    Cpu,
    /// Several texts; with commas between them where they are typed.
    Texts,
    /// Several paths.
    Paths,
    /// Words by key: `key=word,key=word` where they are typed.
    Words,
    /// Limits by namespace; only a file can say them.
    Namespaces,
}

/// Value of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// Text, a path, or a choice.
    Text(String),
    /// A number, milliseconds, bytes or thousandths of cores, as the setting's kind says.
    Number(u64),
    /// Texts or paths.
    Texts(Vec<String>),
    /// Words by key.
    Words(BTreeMap<String, String>),
    /// Limits by namespace.
    Namespaces(BTreeMap<String, NamespaceLimits>),
}

/// Limits of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NamespaceLimits {
    /// Runs of it that are under way at once; `None`: as many as there are slots.
    pub max_concurrent_runs: Option<u32>,
}

/// A text that a setting does not take.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{reason}")]
pub struct Unreadable {
    /// Mistake, and the expected value.
    pub reason: String,
}

impl SettingKind {
    /// Reads what was typed as a flag or stands in an environment variable.
    ///
    /// # Errors
    ///
    /// [`Unreadable`], which does not repeat the text: it may be a secret.
    pub fn read(self, text: &str) -> Result<SettingValue, Unreadable> {
        let refuse = |reason: String| Err(Unreadable { reason });
        match self {
            Self::Text | Self::Path | Self::PathOrUrl if text.trim().is_empty() => {
                refuse("it is empty".to_owned())
            }
            Self::Text | Self::Path | Self::PathOrUrl => Ok(SettingValue::Text(text.to_owned())),
            Self::Choice(words) if words.contains(&text) => Ok(SettingValue::Text(text.to_owned())),
            Self::Choice(words) => refuse(format!("one of: {}", words.join(", "))),
            Self::Whole(low, high) => match text.parse() {
                Ok(number) if (low..=high).contains(&number) => Ok(SettingValue::Number(number)),
                Ok(_) | Err(_) => refuse(format!("a whole number from {low} to {high}")),
            },
            Self::Duration => read_duration(text, 1),
            Self::Delay => read_duration(text, 0),
            Self::Bytes => match parse_memory(text) {
                Some(bytes @ 1..) => Ok(SettingValue::Number(bytes)),
                Some(0) | None => refuse("a whole number and a unit, such as 512Mi".to_owned()),
            },
            Self::Cpu => match cpu(text) {
                Some(millis @ 1..) => Ok(SettingValue::Number(millis)),
                Some(0) | None => refuse("cores or thousandths of one: 2, 0.5, 500m".to_owned()),
            },
            Self::Texts | Self::Paths => {
                let texts: Vec<_> = text.split(',').map(|text| text.trim().to_owned()).collect();
                if texts.iter().any(String::is_empty) {
                    return refuse("texts with commas between them, none of them empty".to_owned());
                }
                Ok(SettingValue::Texts(texts))
            }
            Self::Words => read_words(text),
            Self::Namespaces => refuse("only the file can say this".to_owned()),
        }
    }
}

fn read_duration(text: &str, least: u64) -> Result<SettingValue, Unreadable> {
    let length = parse_duration(text)
        .map_err(|error| Unreadable { reason: format!("{error}: {}", MalformedDuration::HINT) })?;
    match u64::try_from(length.as_millis()) {
        Ok(millis) if (least..=MAX_DURATION_MS).contains(&millis) => {
            Ok(SettingValue::Number(millis))
        }
        Ok(_) | Err(_) => {
            let above = if least > 0 { " above zero" } else { "" };
            Err(Unreadable { reason: format!("a duration{above}, at most 366 days") })
        }
    }
}

fn read_words(text: &str) -> Result<SettingValue, Unreadable> {
    let mut words = BTreeMap::new();
    for pair in text.split(',') {
        let (key, word) = pair.split_once('=').unwrap_or(("", ""));
        if key.trim().is_empty() {
            let reason = "key=word, several with commas between them".to_owned();
            return Err(Unreadable { reason });
        }
        words.insert(key.trim().to_owned(), word.trim().to_owned());
    }
    Ok(SettingValue::Words(words))
}

fn cpu(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(millis) => decimal(millis, 0),
        None => decimal(text, 3),
    }
}
