//! Logs of runs on a server.

use errand_agent::log::{Counted, Query};
use errand_api::gateway::file::LOG_OFFSET_HEADER;
use errand_engine::operations::LogSelection;
use errand_model::RunId;
use reqwest::{Method, Response};

use super::Remote;
use super::patience::Patience;
use crate::failure::Failure;

impl Remote {
    /// Passes on lines in the log's own format, whole lines at once. After a broken connection, a
    /// followed log continues behind the last line that came.
    pub(crate) async fn raw_log(
        &self,
        run_id: &RunId,
        query: LogSelection,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure> + Send,
    ) -> Result<(), Failure> {
        let mut place = None;
        let mut patience = Patience::with(self);
        loop {
            let broken = match Box::pin(self.open_log(run_id, query, place)).await {
                Ok(response) => {
                    patience.answered();
                    let begins_at = offset(&response);
                    let (mut handed, mut waiting) = (0, Vec::new());
                    let end = self
                        .take(response, |bytes| {
                            waiting.extend_from_slice(bytes);
                            let last = waiting.iter().rposition(|byte| *byte == b'\n');
                            let Some(last) = last else { return Ok(()) };
                            let rest = waiting.split_off(last + 1);
                            let lines = std::mem::replace(&mut waiting, rest);
                            handed += u64::try_from(lines.len()).unwrap_or(0);
                            take(&lines)
                        })
                        .await;
                    let Err(failure) = end else {
                        return if waiting.is_empty() { Ok(()) } else { take(&waiting) };
                    };
                    // Only a server that tells its offset can be asked for the rest; the bytes of a
                    // partial line come again.
                    place = begins_at.map(|begins_at| begins_at + handed);
                    failure
                }
                Err(failure) => failure,
            };
            if place.is_none() {
                return Err(broken);
            }
            patience.after(broken).await?;
        }
    }

    /// Requests the wanted lines, or those behind an offset.
    async fn open_log(
        &self,
        run_id: &RunId,
        query: LogSelection,
        place: Option<u64>,
    ) -> Result<Response, Failure> {
        let LogSelection { lines: Query { tail, since, counted }, follow } = query;
        let mut query = vec![("follow", follow.to_string())];
        match place {
            Some(place) => query.push(("from", place.to_string())),
            None => {
                query.extend(tail.map(|lines| ("tail", lines.to_string())));
                query.extend(since.map(|since| ("since_ms", since.as_millis().to_string())));
                query.push(("system", (counted == Counted::All).to_string()));
            }
        }
        let request = self.request(Method::GET, &["runs", run_id.as_str(), "log"]);
        self.send(request.query(&query)).await
    }
}

/// Returns the offset of an answer in the log, in bytes.
fn offset(response: &Response) -> Option<u64> {
    response.headers().get(LOG_OFFSET_HEADER)?.to_str().ok()?.parse().ok()
}
