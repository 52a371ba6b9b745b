//! Journals and logs of runs of a server: pages, and what comes as it happens.

use async_trait::async_trait;
use errand_agent::log::{Followed, Incoming};
use errand_api::gateway::run::EventPage;
use errand_api::story::{Comparison, Story};
use errand_engine::operations::{
    EventList, JournalOperations, LogFile, LogSelection, TakeEvent, TakeLine,
};
use errand_model::{Event, RunId};
use serde_json::{Value, json};

use super::Remote;
use super::answer::not_a_server;
use super::follow::{Ended, broken_off};
use super::patience::Patience;
use crate::failure::Failure;

#[async_trait]
impl JournalOperations<Failure> for Remote {
    async fn events(&self, run_id: &RunId, after: u64, limit: u32) -> Result<EventList, Failure> {
        let query = [("after", after.to_string()), ("limit", limit.to_string())];
        let page: EventPage = self.query(&["runs", run_id.as_str(), "events"], &query).await?;
        let read = |event: &Value| {
            Event::from_json_line(&event.to_string()).map_err(|error| {
                not_a_server(self.url(), "an event of it cannot be read").because(&error)
            })
        };
        Ok(EventList {
            events: page.events.iter().map(read).collect::<Result<_, _>>()?,
            has_more: page.next_after.is_some(),
            is_over: page.is_over,
        })
    }

    async fn follow(
        &self,
        run_id: &RunId,
        mut after: u64,
        take: &mut TakeEvent<'_, Failure>,
    ) -> Result<(), Failure> {
        let mut patience = Patience::with(self);
        loop {
            let before = after;
            let streamed = self.stream_events(run_id, &mut after, take).await;
            if after > before {
                patience.answered();
            }
            let broken = match streamed {
                Ok(Ended::Over) => {
                    patience.answered();
                    return Ok(());
                }
                Ok(Ended::Broken) => broken_off(self),
                Err(failure) => failure,
            };
            patience.after(broken).await?;
        }
    }

    async fn log(
        &self,
        run_id: &RunId,
        query: LogSelection,
        take: &mut TakeLine<'_, Failure>,
    ) -> Result<LogFile, Failure> {
        let mut incoming = Incoming::default();
        // The receiver's own failure goes past the reader of lines, which knows I/O errors only.
        let mut refused = None;
        let mut show = |piece: Followed<'_>| {
            take(piece).map_err(|failure| {
                refused = Some(failure);
                std::io::Error::other("the receiver takes no more")
            })
        };
        let copied = self
            .raw_log(run_id, query, |lines| {
                incoming
                    .push(lines, |line| show(Followed::Line(line)))
                    .and_then(|()| show(Followed::Idle))
                    .map_err(|error| Failure::stdout(&error))
            })
            .await;
        let finished = copied.and_then(|()| {
            incoming
                .finish(|line| show(Followed::Line(line)))
                .and_then(|()| show(Followed::Idle))
                .map_err(|error| Failure::stdout(&error))
        });
        match refused {
            Some(failure) => Err(failure),
            None => finished.map(|()| LogFile::Unknown),
        }
    }

    async fn story(&self, run_id: &RunId) -> Result<Story, Failure> {
        self.post(&["runs", run_id.as_str(), "replay"], &json!({ "policy": "inspect" })).await
    }

    async fn comparison(&self, replay: &RunId) -> Result<Comparison, Failure> {
        self.get(&["runs", replay.as_str(), "comparison"]).await
    }
}
