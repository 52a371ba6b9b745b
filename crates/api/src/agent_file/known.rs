//! What is known of the agents that an agent file names.

/// Tells whether there is an agent of that registered name, or at that path as the file has it.
pub type Known<'a> = dyn FnMut(&str) -> Result<(), Unknown> + 'a;

/// An agent that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What is wrong; a lower-case fragment.
    pub message: String,
    /// What to do, where there is something to say.
    pub hint: Option<String>,
}
