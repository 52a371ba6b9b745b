//! Errors of the catalog.

use errand_api::agent_file::Problems;
use errand_api::error_code::ErrorCode;
use errand_model::catalog::CatalogKind;
use thiserror::Error;

use crate::error::{
    BlobFailure, CodedError, IoFailure, NoRandomness, PayloadRefused, operation_error,
};

operation_error! {
    /// Error: a definition cannot be changed, found or used.
    pub enum Error {
        /// The definition is refused or missing.
        Problem(Box<CatalogProblem>) from CatalogProblem,
        /// The store failed or refused.
        Store(errand_store::Error),
        /// A blob cannot be stored or read.
        Blob(BlobFailure) from errand_store::BlobError,
        /// The system has no randomness to give.
        Randomness(NoRandomness),
        /// A manifest is damaged.
        Payload(PayloadRefused),
        /// A file operation failed.
        Io(IoFailure),
    }
}

/// Error: a definition is refused or missing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CatalogProblem {
    /// Manifests have problems.
    #[error("{}", shown(files))]
    Invalid {
        /// Problems of each file.
        files: Vec<Problems>,
    },
    /// The program of a policy is not valid.
    #[error("the program of the policy {name:?} is not valid{}: {reason}", at_line(*line))]
    PolicyInvalid {
        /// Name of the policy.
        name: String,
        /// Line of the program, from 1, if it is known.
        line: Option<u32>,
        /// Reason, for people.
        reason: String,
    },
    /// There is no such definition, or no such version of it.
    #[error("the catalog has no {} {name:?}{}", kind.path_word(), of_version(*version))]
    NotFound {
        /// Kind that was asked for.
        kind: CatalogKind,
        /// Name that was asked for.
        name: String,
        /// Version that was asked for; `None`: the current one.
        version: Option<u64>,
        /// Advice in words.
        hint: String,
    },
    /// A manifest refers to a definition that does not exist.
    #[error("{of} refers to the {} {name:?}, which does not exist", kind.path_word())]
    ReferenceUnknown {
        /// Definition that refers to the other, as `kind/name`.
        of: String,
        /// Kind of the missing definition.
        kind: CatalogKind,
        /// Name of the missing definition.
        name: String,
    },
    /// Other definitions or registered agents refer to the definition.
    #[error("the {} {name:?} is used by {}", kind.path_word(), by.join(", "))]
    InUse {
        /// Kind of the definition.
        kind: CatalogKind,
        /// Name of the definition.
        name: String,
        /// Users of the definition, as `kind/name`; the first ones of many.
        by: Vec<String>,
    },
    /// The definition comes from a file beside the registry.
    #[error("the {} {name:?} comes from the file {file}", kind.path_word())]
    FromFile {
        /// Kind of the definition.
        kind: CatalogKind,
        /// Name of the definition.
        name: String,
        /// Path of the file.
        file: String,
    },
    /// A manifest is not that of the definition that the request names.
    #[error("the manifest is that of the {found}, and the request names the {wanted}")]
    OtherName {
        /// Definition of the manifest, as `kind/name`.
        found: String,
        /// Definition of the request, as `kind/name`.
        wanted: String,
    },
    /// The namespace has as many definitions of the kind as it may have.
    #[error(
        "the namespace has {limit} definitions of the kind {kind} already, and may not have more"
    )]
    TooMany {
        /// Kind of the definition.
        kind: CatalogKind,
        /// Most definitions of one kind.
        limit: u32,
    },
    /// Other processes changed the same definitions at the same time, on every try.
    #[error("the catalog is being changed by others")]
    Contended,
    /// An agent names a skill or config that does not exist.
    #[error("the agent {agent} names the {} {name:?}, which is neither in its folder nor in the catalog", kind.path_word())]
    BriefUnassembled {
        /// Name of the agent.
        agent: String,
        /// Kind of the missing part.
        kind: CatalogKind,
        /// Name of the missing part.
        name: String,
        /// Advice in words.
        hint: String,
    },
}

fn of_version(version: Option<u64>) -> String {
    version.map(|version| format!(" in version {version}")).unwrap_or_default()
}

fn at_line(line: Option<u32>) -> String {
    line.map(|line| format!(" at its line {line}")).unwrap_or_default()
}

fn shown(files: &[Problems]) -> String {
    files.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl CatalogProblem {
    /// Returns all problems of files that a user wrote.
    pub fn file_problems(&self) -> Option<&[Problems]> {
        if let Self::Invalid { files } = self { Some(files) } else { None }
    }

    /// Returns advice; empty if there is none.
    pub fn hint(&self) -> &str {
        match self {
            Self::NotFound { hint, .. } | Self::BriefUnassembled { hint, .. } => hint,
            Self::ReferenceUnknown { .. } => "apply it before, or together with this manifest",
            Self::InUse { .. } => "change those first, or delete it all the same with --force",
            Self::FromFile { .. } => "change or remove the file",
            Self::OtherName { .. } => "use the kind and the name of the manifest in the path",
            Self::TooMany { .. } => "delete some first",
            Self::Contended => "try again",
            Self::PolicyInvalid { .. } => {
                "write `package errand` with a rule `decision` or a set `deny`, in Rego version 1"
            }
            Self::Invalid { .. } => "",
        }
    }
}

impl CodedError for CatalogProblem {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid { .. } | Self::ReferenceUnknown { .. } | Self::OtherName { .. } => {
                ErrorCode::ManifestInvalid
            }
            Self::PolicyInvalid { .. } => ErrorCode::PolicyInvalid,
            Self::NotFound { .. } => ErrorCode::DefinitionNotFound,
            Self::InUse { .. } => ErrorCode::DefinitionInUse,
            Self::FromFile { .. } => ErrorCode::DefinitionReadOnly,
            Self::TooMany { .. } => ErrorCode::TooManyDefinitions,
            Self::Contended => ErrorCode::ChangedMeanwhile,
            Self::BriefUnassembled { .. } => ErrorCode::BriefAssemblyFailed,
        }
    }
}
