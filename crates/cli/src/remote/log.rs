//! What a run printed, as the server sends it: the lines of its log.

use std::io;

use errand_agent::log::{Counted, Followed, Incoming, Query};
use errand_model::RunId;
use reqwest::Method;

use super::Remote;
use crate::failure::Failure;

/// Which lines are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogAsk {
    /// Which of those that are there.
    pub(crate) query: Query,
    /// Whether it goes on until the run ends.
    pub(crate) follow: bool,
}

impl Remote {
    /// Hands lines on as they come.
    pub(crate) async fn log(
        &self,
        run_id: &RunId,
        ask: LogAsk,
        mut show: impl FnMut(Followed<'_>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let LogAsk { query: Query { tail, since, counted }, follow } = ask;
        let mut query = vec![("follow", follow.to_string())];
        query.extend(tail.map(|lines| ("tail", lines.to_string())));
        query.extend(since.map(|since| ("since_ms", since.as_millis().to_string())));
        query.push(("system", (counted == Counted::All).to_string()));
        let request = self.request(Method::GET, &["runs", run_id.as_str(), "log"]).query(&query);
        let mut incoming = Incoming::default();
        self.stream(request, |bytes| {
            incoming
                .push(bytes, |line| show(Followed::Line(line)))
                .and_then(|()| show(Followed::Idle))
                .map_err(|error| Failure::stdout(&error))
        })
        .await?;
        incoming
            .finish(|line| show(Followed::Line(line)))
            .and_then(|()| show(Followed::Idle))
            .map_err(|error| Failure::stdout(&error))
    }
}
