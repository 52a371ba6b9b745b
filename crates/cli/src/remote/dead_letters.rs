//! Failed runs whose attempts are spent.

use errand_api::dead_letter::{DeadLetter, DeadLetterDetail, Redriven};
use errand_api::gateway::dead_letter::{DeadLetterPage, DiscardLetter, RedriveLetter};
use errand_engine::again::Redrive;
use errand_model::{RunId, Timestamp};
use reqwest::Method;

use super::Remote;
use crate::commands::RemoteChoice;
use crate::failure::Failure;

/// Dead letters that are asked for at once.
const PAGE: usize = 500;

/// Which dead letters are wanted. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeadLetterAsk {
    /// Also those that were redriven or discarded.
    pub(crate) settled: bool,
    /// Only runs of that agent.
    pub(crate) agent: Option<String>,
    /// Only runs whose last error has that code.
    pub(crate) code: Option<String>,
    /// Only runs that died at that moment or later.
    pub(crate) since: Option<Timestamp>,
    /// At most so many, the newest; `None`: all.
    pub(crate) limit: Option<usize>,
}

impl Remote {
    /// Dead letters that fit, newest run first.
    pub(crate) async fn dead_letters(
        &self,
        ask: &DeadLetterAsk,
    ) -> Result<Vec<DeadLetter>, Failure> {
        let wanted = ask.limit.unwrap_or(usize::MAX);
        let mut found: Vec<DeadLetter> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", wanted.clamp(1, PAGE).to_string())];
            query.push(("all", ask.settled.to_string()));
            query.extend(ask.agent.clone().map(|agent| ("agent", agent)));
            query.extend(ask.code.clone().map(|code| ("code", code)));
            query.extend(ask.since.map(|since| ("since_ms", since.as_millis().to_string())));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: DeadLetterPage = self.query(&["dead-letters"], &query).await?;
            found.extend(page.dead_letters);
            cursor = page.next_cursor;
            if cursor.is_none() || found.len() >= wanted {
                found.truncate(wanted);
                return Ok(found);
            }
        }
    }

    /// Everything that is kept of a dead letter, with so many lines of its log.
    pub(crate) async fn dead_letter(
        &self,
        run_id: &RunId,
        tail: usize,
    ) -> Result<DeadLetterDetail, Failure> {
        let query = [("tail", tail.to_string())];
        self.query(&["dead-letters", run_id.as_str()], &query).await
    }

    /// Does a dead letter again. Returns the new run.
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

    /// Takes a dead letter off the list.
    pub(crate) async fn discard(&self, run_id: &RunId, by: Option<String>) -> Result<(), Failure> {
        let path = ["dead-letters", run_id.as_str(), "discard"];
        self.send(self.request(Method::POST, &path).json(&DiscardLetter { by })).await?;
        Ok(())
    }
}
