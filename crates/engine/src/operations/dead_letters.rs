//! Dead letters: failed runs whose attempts are spent.

use async_trait::async_trait;
use errand_api::dead_letter::{DeadLetter, DeadLetterDetail};
use errand_api::gateway::dead_letter::DeadLetterPage;
use errand_model::RunId;
use errand_store::{DeadLetterFilter, Discard};

use super::local::{LocalError, LocalOperations};
use crate::view;

/// Dead letters that are listed at once.
const PAGE: usize = 500;

/// Lists, shows and discards dead letters.
#[async_trait]
pub trait DeadLetterOperations<E: Send + 'static>: Send + Sync {
    /// Lists dead letters, newest run first: those after run `after`, at most `limit`.
    async fn list_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<DeadLetterPage, E>;

    /// Lists all dead letters that fit, newest run first, at most `most`.
    async fn all_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        most: Option<usize>,
    ) -> Result<Vec<DeadLetter>, E> {
        let most = most.unwrap_or(usize::MAX);
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let limit = most.saturating_sub(all.len()).min(PAGE);
            let page = self.list_dead_letters(filter, after, limit).await?;
            all.extend(page.dead_letters);
            after = page.next_cursor.and_then(|cursor| cursor.parse().ok());
            if after.is_none() || all.len() >= most {
                all.truncate(most);
                return Ok(all);
            }
        }
    }

    /// Returns everything that is kept of a dead letter, with the last lines of its log.
    async fn dead_letter(&self, run_id: &RunId, tail: usize) -> Result<DeadLetterDetail, E>;

    /// Takes a dead letter off the list, in the name of `by`.
    async fn discard(&self, run_id: &RunId, by: String) -> Result<(), E>;
}

#[async_trait]
impl<E: LocalError> DeadLetterOperations<E> for LocalOperations {
    async fn list_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<DeadLetterPage, E> {
        let namespaces = self.namespaces().clone();
        let filter = DeadLetterFilter { namespaces, ..filter.clone() };
        // An additional dead letter shows that there is another page.
        let mut found = view::dead_letters(self.engine(), &filter, after, limit + 1).await?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| has_more).map(|last| last.run_id.to_string());
        Ok(DeadLetterPage { dead_letters: found, next_cursor })
    }

    async fn dead_letter(&self, run_id: &RunId, tail: usize) -> Result<DeadLetterDetail, E> {
        Ok(view::dead_letter_detail(self.engine(), run_id, tail).await?)
    }

    async fn discard(&self, run_id: &RunId, by: String) -> Result<(), E> {
        let at = self.engine().now();
        let discard = Discard { run_id: run_id.clone(), by: Some(by), at };
        Ok(self.engine().store().discard(discard).await?)
    }
}
