//! Named servers in the user's configuration.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use errand_api::agent_file::closest;
use errand_api::error_code::ErrorCode;
use errand_store::files::{Sync, write_atomic};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Name of the context that always exists: the registry of this machine.
pub(crate) const LOCAL: &str = "local";
/// Version of the file's schema.
const SCHEMA: u32 = 1;
/// Longest name of a context.
const NAME_LIMIT_BYTES: usize = 63;
/// Longest key file: a key is one line.
const KEY_LIMIT_BYTES: usize = 4_096;

/// All contexts of the user, with the one in use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Contexts {
    schema: u32,
    /// [`LOCAL`] by default.
    pub(crate) used: String,
    pub(crate) contexts: BTreeMap<String, Server>,
}

/// A server and its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Server {
    /// Address, such as `https://errand.example.org`.
    pub(crate) server: String,
    /// Absolute path of the file with the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
}

impl Default for Contexts {
    fn default() -> Self {
        Self { schema: SCHEMA, used: LOCAL.to_owned(), contexts: BTreeMap::new() }
    }
}

impl Contexts {
    /// Reads the contexts; none without a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::io("read the contexts in", path, &error)),
        };
        serde_json::from_slice(&text).map_err(|error| {
            let what = format!("the contexts in {} cannot be read", path.display());
            Failure::new(ErrorCode::ContextInvalid, what)
                .because(&error)
                .hint("mend or remove the file; `errand context add` writes it anew")
        })
    }

    /// Writes the contexts, readable by their owner only.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::io("create the folder", folder, &error))?;
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::internal("cannot write the contexts", &error))?;
        text.push(b'\n');
        Ok(write_atomic(path, &text, Sync::No).map_err(errand_store::Error::from)?)
    }

    /// Returns the server of that name; `None` for the registry of this machine.
    pub(crate) fn named(&self, name: &str) -> Result<Option<&Server>, Failure> {
        if name == LOCAL {
            return Ok(None);
        }
        self.contexts.get(name).map(Some).ok_or_else(|| {
            let failure =
                Failure::new(ErrorCode::ContextNotFound, format!("there is no context {name:?}"));
            let known = self.contexts.keys().map(String::as_str);
            if name.contains([':', '/']) || name == "localhost" {
                failure.hint(format!("for the address of a server write http://{name}"))
            } else if let Some(meant) = closest(name, known.chain([LOCAL])) {
                failure.hint(format!("did you mean {meant}? `errand context ls` lists them"))
            } else {
                failure.hint("`errand context ls` lists them, `errand context add` adds one")
            }
        })
    }
}

impl Server {
    /// Reads the key from its file.
    pub(crate) fn key(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.key_file else { return Ok(None) };
        let text = std::fs::read(path)
            .map_err(|error| Failure::io("read the API key in", path, &error))?;
        let key = String::from_utf8(text).ok().map(|text| text.trim().to_owned());
        let is_key = |key: &String| {
            !key.is_empty()
                && key.len() <= KEY_LIMIT_BYTES
                && key.bytes().all(|b| b.is_ascii_graphic())
        };
        key.filter(is_key).map(Some).ok_or_else(|| {
            let what = format!("{} does not hold an API key", path.display());
            Failure::new(ErrorCode::ContextInvalid, what).hint("the key alone, on one line")
        })
    }
}

/// Checks that a context can have that name.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_good = name.len() <= NAME_LIMIT_BYTES
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && name != LOCAL;
    if is_good {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::ContextInvalid, format!("{name:?} cannot name a context")).hint(
        format!(
            "1 to {NAME_LIMIT_BYTES} letters, digits, '-', '_' and '.'; {LOCAL:?} is this machine"
        ),
    ))
}
