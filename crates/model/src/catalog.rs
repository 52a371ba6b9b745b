//! Catalog: kinds of shared definitions, and the versions of them that a run pins.
//!
//! To add a kind, add its line to the table: `ARCHITECTURE.md`, "Add a kind of definition".

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Blob;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $path:literal;)*) => {
        /// Kind of a definition in the catalog. `Display` is the word of manifests: `Skill`.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        #[schemars(rename = "DefinitionKind")]
        pub enum CatalogKind {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl CatalogKind {
            /// Every kind, in the order in which they are listed.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the word of manifests, such as `Skill`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),* }
            }

            /// Returns the word of paths and of the command line: lower case, with hyphens.
            pub const fn path_word(self) -> &'static str {
                match self { $(Self::$variant => $path),* }
            }
        }
    };
}

kinds! {
    /// Instructions that agents are given by name.
    Skill = "skill";
    /// Text that agents are given by name.
    Config = "config";
    /// Infrastructure that agents need.
    Service = "service";
    /// Defaults of a class of agents.
    Tier = "tier";
    /// A place near a runtime that carries tasks out.
    Dispatcher = "dispatcher";
    /// Prices of models.
    PriceTable = "price-table";
    /// Decisions about the calls of agents.
    Policy = "policy";
    /// Models and providers that calls of models go to.
    ModelRoute = "model-route";
}

impl fmt::Display for CatalogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CatalogKind {
    type Err = UnknownCatalogKind;

    /// Reads the word of manifests or that of paths, in singular or plural, in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let is_it = |word: &str| {
            lower == word
                || lower.strip_suffix('s') == Some(word)
                || lower
                    .strip_suffix("ies")
                    .is_some_and(|stem| word.strip_suffix('y') == Some(stem))
                || lower.replace('-', "") == word
        };
        let known = Self::ALL
            .iter()
            .find(|kind| is_it(kind.path_word()) || is_it(&kind.as_str().to_ascii_lowercase()));
        known.copied().ok_or_else(|| UnknownCatalogKind { text: text.to_owned() })
    }
}

/// The text names no kind of definition.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is no kind of definition: {}", kind_words())]
pub struct UnknownCatalogKind {
    /// Text as given.
    pub text: String,
}

fn kind_words() -> String {
    let words: Vec<&str> = CatalogKind::ALL.iter().map(|kind| kind.path_word()).collect();
    words.join(", ")
}

/// Version of a definition that a run uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogPin {
    /// Kind of the definition.
    pub kind: CatalogKind,
    /// Name of the definition.
    pub name: String,
    /// Version; `None` for a definition from a file beside the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The manifest as canonical JSON. Its digest identifies the version.
    pub blob: Blob,
}
