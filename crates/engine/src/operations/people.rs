//! Questions of agents to people.

use async_trait::async_trait;
use errand_api::question::QuestionList;
use errand_store::Questions;

use super::local::{LocalError, LocalOperations};
use crate::{people, view};

/// Lists questions to people.
#[async_trait]
pub trait PeopleOperations<E: Send + 'static>: Send + Sync {
    /// Lists questions of all runs, oldest first: the open ones, or all.
    async fn questions(&self, which: Questions) -> Result<QuestionList, E>;

    /// Applies deadlines of questions that have passed and that no process applied; a server does
    /// so by itself. Returns the errors of single runs.
    async fn apply_due_deadlines(&self) -> Result<Vec<E>, E>;
}

#[async_trait]
impl<E: LocalError> PeopleOperations<E> for LocalOperations {
    async fn questions(&self, which: Questions) -> Result<QuestionList, E> {
        Ok(view::questions(people::list(self.engine(), which, self.namespaces()).await?))
    }

    async fn apply_due_deadlines(&self) -> Result<Vec<E>, E> {
        let errors = people::expire_due(self.engine()).await?;
        Ok(errors.into_iter().map(E::from).collect())
    }
}
