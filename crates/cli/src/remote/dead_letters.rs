//! Failed runs of a server whose attempts are spent.

use async_trait::async_trait;
use errand_api::dead_letter::{DeadLetterDetail, Redriven};
use errand_api::gateway::dead_letter::{DeadLetterPage, DiscardLetter, RedriveLetter};
use errand_engine::again::Redrive;
use errand_engine::operations::DeadLetterOperations;
use errand_model::RunId;
use errand_store::DeadLetterFilter;
use reqwest::Method;

use super::Remote;
use super::runs::RemoteChoice;
use crate::failure::Failure;

/// Largest page that a server gives.
const PAGE: usize = 500;

#[async_trait]
impl DeadLetterOperations<Failure> for Remote {
    async fn list_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<DeadLetterPage, Failure> {
        let mut query = vec![("limit", limit.clamp(1, PAGE).to_string())];
        query.push(("all", filter.settled.to_string()));
        query.extend(filter.agent.clone().map(|agent| ("agent", agent)));
        query.extend(filter.code.clone().map(|code| ("code", code)));
        query.extend(filter.since.map(|since| ("since_ms", since.as_millis().to_string())));
        query.extend(after.map(|after| ("cursor", after.to_string())));
        self.query(&["dead-letters"], &query).await
    }

    async fn dead_letter(&self, run_id: &RunId, tail: usize) -> Result<DeadLetterDetail, Failure> {
        let query = [("tail", tail.to_string())];
        self.query(&["dead-letters", run_id.as_str()], &query).await
    }

    async fn discard(&self, run_id: &RunId, by: String) -> Result<(), Failure> {
        let path = ["dead-letters", run_id.as_str(), "discard"];
        let body = DiscardLetter { by: Some(by) };
        self.send(self.request(Method::POST, &path).json(&body)).await.map(drop)
    }
}

impl Remote {
    /// Redrives a dead letter. Returns the new run.
    pub(crate) async fn redrive(
        &self,
        run_id: &RunId,
        Redrive { from_start, again }: Redrive,
        RemoteChoice { version, latest }: RemoteChoice,
    ) -> Result<RunId, Failure> {
        let body = RedriveLetter { from_start, again, version, latest };
        let path = ["dead-letters", run_id.as_str(), "redrive"];
        let redriven: Redriven = self.post(&path, &body).await?;
        Ok(redriven.redriven_as)
    }
}
