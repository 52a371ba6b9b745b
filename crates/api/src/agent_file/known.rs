//! References of an agent file to things outside of it.

use errand_model::catalog::CatalogKind;

use super::problem::ProblemKind;

/// Tells whether there is what an agent file refers to.
pub type Known<'a> = dyn FnMut(&FileReference) -> Result<(), Unknown> + 'a;

/// Something outside of an agent file that the file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileReference {
    /// An agent: its registered name, or its path as the file has it.
    Agent(String),
    /// A skill by its slug.
    Skill(String),
    /// A config by its slug.
    Config(String),
    /// A definition of the catalog.
    Definition(CatalogKind, String),
    /// The program of the agent's command.
    Program(String),
    /// The script that the command's interpreter is to run. Only where the workspace is an empty
    /// folder, so that no file of that name can be there.
    Script(String),
}

impl FileReference {
    /// Files of the agent's folder, the first of which that exists is meant; empty for what is no
    /// file.
    pub fn places(&self) -> Vec<String> {
        match self {
            Self::Agent(_) | Self::Definition(..) => Vec::new(),
            Self::Skill(slug) => {
                vec![format!("skills/{slug}/SKILL.md"), format!("skills/{slug}.md")]
            }
            Self::Config(slug) => ["", ".md", ".yaml", ".json", ".toml", ".txt"]
                .map(|end| format!("configs/{slug}{end}"))
                .into(),
            Self::Program(word) | Self::Script(word) => vec![word.clone()],
        }
    }
}

/// The longest skill or config: both are put into the brief as a whole.
pub const PART_LIMIT_BYTES: u64 = 1024 * 1024;

/// A reference that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Description of the problem; a lower-case fragment.
    pub message: String,
    /// Advice for the user, if any.
    pub hint: Option<String>,
    /// Kind of the problem.
    pub kind: ProblemKind,
}
