//! Progress of the export, stored in the registry: a restart neither loses nor doubles many traces,
//! and one of several gateways exports.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_engine::{Engine, Error};
use errand_model::{RunId, Timestamp};
use errand_store::{DocumentChange, DocumentKind, DocumentWrite, Expect};
use serde::{Deserialize, Serialize};

/// Time after which a silent gateway loses the turn.
const TURN: Duration = Duration::from_secs(20);
/// Remaining time of the turn at which it is prolonged.
const PROLONG_AT: Duration = Duration::from_secs(8);
/// Runs that are remembered as sent; the oldest are dropped.
const REMEMBERED: usize = 4_096;
/// Newest of these that are stored.
const WRITTEN: usize = 512;
/// Live runs whose progress is remembered. Spans of a dropped one are sent again, with the same
/// ids.
const LIVE_REMEMBERED: usize = 2_048;
/// Key of the document.
const KEY: &str = "otlp";

/// Content of the document.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Body {
    holder: String,
    until_ms: Timestamp,
    /// Start of the export: runs that ended before are never sent.
    began_at_ms: Timestamp,
    /// End of the last run whose trace was sent.
    ended_at_ms: Timestamp,
    sent: Vec<RunId>,
    /// Live runs, with the last event whose spans were sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    live: BTreeMap<RunId, u64>,
}

/// Progress of the export.
#[derive(Debug)]
pub(super) struct TraceCursor {
    me: String,
    revision: Option<u64>,
    until: Timestamp,
    began_at: Timestamp,
    ended_at: Timestamp,
    sent: BTreeMap<RunId, Timestamp>,
    live: BTreeMap<RunId, u64>,
    is_changed: bool,
}

impl TraceCursor {
    /// Creates a new progress; `me` identifies this gateway uniquely.
    pub(super) fn new(me: String, now: Timestamp) -> Self {
        let (sent, live) = (BTreeMap::new(), BTreeMap::new());
        let until = Timestamp::default();
        let (began_at, ended_at, is_changed) = (now, now, true);
        Self { me, revision: None, until, began_at, ended_at, sent, live, is_changed }
    }

    /// Returns the time since when runs with unsent traces may have ended: `slack_ms` before the
    /// end of the last one sent.
    pub(super) fn since(&self, slack_ms: i64) -> Timestamp {
        let since = self.ended_at.as_millis().saturating_sub(slack_ms);
        Timestamp::from_millis(since).max(self.began_at)
    }

    /// Releases the turn, so that another gateway can take it at once.
    pub(super) async fn let_go(&mut self, engine: &Engine) {
        let now = engine.now();
        if self.until > now {
            // If this fails, the turn expires by itself.
            drop(self.write(engine, now).await);
        }
    }

    /// Returns true if the trace of a run was sent.
    pub(super) fn has(&self, run_id: &RunId) -> bool {
        self.sent.contains_key(run_id)
    }

    /// Returns the last event of a live run whose spans were sent; 0: none.
    pub(super) fn sent_up_to(&self, run_id: &RunId) -> u64 {
        self.live.get(run_id).copied().unwrap_or(0)
    }

    /// Notes that the spans of a live run were sent up to an event.
    pub(super) fn sent_so_far(&mut self, run_id: RunId, seq: u64) {
        self.live.insert(run_id, seq);
        self.is_changed = true;
        while self.live.len() > LIVE_REMEMBERED {
            self.live.pop_first();
        }
    }

    /// Notes that the trace of a run was sent.
    pub(super) fn sent(&mut self, run_id: RunId, ended_at: Timestamp) {
        self.live.remove(&run_id);
        self.ended_at = self.ended_at.max(ended_at);
        self.sent.insert(run_id, ended_at);
        self.is_changed = true;
        while self.sent.len() > REMEMBERED {
            // Ids sort by admission, which is good enough for dropping the oldest.
            self.sent.pop_first();
        }
    }

    /// Takes or keeps the turn, and stores the progress. Returns true if this gateway has the turn.
    ///
    /// # Errors
    ///
    /// If the registry fails.
    pub(super) async fn keep(&mut self, engine: &Engine) -> Result<bool, Error> {
        let now = engine.now();
        let is_mine = self.until > now;
        if is_mine && !self.is_changed && self.until.since(now) > PROLONG_AT {
            return Ok(true);
        }
        let store = engine.store();
        if !is_mine {
            let found = store.document(DocumentKind::Trail, None, KEY).await?;
            self.revision = found.as_ref().map(|document| document.revision);
            let body = found.and_then(|it| serde_json::from_value::<Body>(it.body).ok());
            if let Some(body) = body {
                if body.holder != self.me && body.until_ms > now {
                    return Ok(false);
                }
                (self.began_at, self.ended_at) = (body.began_at_ms, body.ended_at_ms);
                self.live = body.live;
                self.sent = body.sent.into_iter().map(|id| (id, body.ended_at_ms)).collect();
            }
        }
        self.write(engine, now.plus(TURN)).await
    }

    async fn write(&mut self, engine: &Engine, until: Timestamp) -> Result<bool, Error> {
        let sent = self.sent.keys().rev().take(WRITTEN).cloned().collect();
        let body = Body {
            holder: self.me.clone(),
            until_ms: until,
            began_at_ms: self.began_at,
            ended_at_ms: self.ended_at,
            sent,
            live: self.live.clone(),
        };
        let write = DocumentWrite {
            kind: DocumentKind::Trail,
            namespace: None,
            key: KEY.to_owned(),
            expect: self.revision.map_or(Expect::Absent, Expect::Revision),
            change: DocumentChange::Put {
                body: serde_json::to_value(body).unwrap_or_default(),
                due_at: None,
            },
        };
        match engine.store().write_documents(vec![write]).await {
            Ok(()) => {
                self.revision = Some(self.revision.unwrap_or(0) + 1);
                (self.until, self.is_changed) = (until, false);
                Ok(true)
            }
            // Another gateway was faster.
            Err(errand_store::Error::DocumentChanged { .. }) => {
                self.until = Timestamp::default();
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
