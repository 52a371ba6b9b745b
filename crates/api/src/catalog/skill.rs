//! Skills: instructions that agents are given by name.

use std::collections::BTreeMap;

use errand_model::catalog::CatalogKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::scalar::SkillFiles;

/// Instructions for one sort of work, with the files that they mention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Skill")]
pub struct SkillDefinition {
    /// Purpose of the skill, for people and for models that choose among skills.
    #[schemars(length(min = 1), extend("examples" = ["Reviews a change"]))]
    pub description: String,
    /// The instructions, which the brief of an agent holds.
    #[schemars(length(min = 1), extend("examples" = ["Read the diff first."]))]
    pub instructions: String,
    /// Further files of the skill by path: text, or a mapping with `text` or `base64`, and
    /// `executable`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "SkillFiles")]
    pub files: BTreeMap<String, SkillFile>,
}

impl Definition for SkillDefinition {
    const KIND: CatalogKind = CatalogKind::Skill;

    fn description(&self) -> Option<&str> {
        Some(&self.description)
    }
}

/// A file of a skill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SkillFile {
    /// The text of a file that is not executable.
    Text(String),
    /// Any other file.
    Other {
        /// The text of the file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// The bytes of a file that is no text, in standard base64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
        /// True if the file is executable.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        executable: bool,
    },
}

impl SkillFile {
    /// Returns the file with these bytes.
    pub fn of(bytes: Vec<u8>, executable: bool) -> Self {
        let has_nul = bytes.contains(&0);
        match String::from_utf8(bytes) {
            Ok(text) if !has_nul && !executable => Self::Text(text),
            Ok(text) if !has_nul => Self::Other { text: Some(text), base64: None, executable },
            Ok(text) => Self::encoded(text.as_bytes(), executable),
            Err(error) => Self::encoded(error.as_bytes(), executable),
        }
    }

    fn encoded(bytes: &[u8], executable: bool) -> Self {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
        Self::Other { text: None, base64: Some(base64), executable }
    }

    /// Returns the bytes; `None` if they are not in base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        use base64::Engine as _;
        match self {
            Self::Text(text) | Self::Other { text: Some(text), .. } => {
                Some(text.as_bytes().to_vec())
            }
            Self::Other { base64: Some(base64), .. } => {
                base64::engine::general_purpose::STANDARD.decode(base64).ok()
            }
            Self::Other { text: None, base64: None, .. } => None,
        }
    }

    /// Returns true if the file is executable.
    pub const fn is_executable(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Other { executable, .. } => *executable,
        }
    }
}
