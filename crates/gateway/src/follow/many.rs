//! Streams of the events of a set of runs: live ones, and new ones.
//!
//! Hints name a run that grew; a regular search finds runs without a hint. Events of one run come
//! in order; events of several runs in the order in which they are found.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use errand_engine::Engine;
use errand_model::{RunId, Timestamp};
use errand_store::{Changes, Error, StoreChange};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::members::{Members, Which, list};
use super::one::has;
use super::resume::{self, EventPosition};
use crate::Gateway;
use crate::feed::{EndReason, Frame, StreamEnd, StreamItem, is_last};

/// Events of one run that are read at once.
const PAGE: u32 = 64;
/// Interval of searches for runs without a hint.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Age beyond which a run was found by the previous search, if it is older than that search.
const LOOK_BACK: Duration = Duration::from_secs(10);

/// Stream of a set of runs.
#[derive(Debug)]
pub(crate) struct FollowMany {
    gateway: Gateway,
    which: Which,
    types: Vec<String>,
    members: Members,
    changes: Changes,
    /// Runs that may have grown, in the order of the hints.
    grown: VecDeque<RunId>,
    is_grown: HashSet<RunId>,
    page: VecDeque<Arc<Frame>>,
    look_at: Instant,
    looked_at: Timestamp,
    last: Option<EventPosition>,
    is_over: bool,
}

impl FollowMany {
    /// Starts the stream from now on, or after the last events that a client names.
    ///
    /// # Errors
    ///
    /// If the registry cannot be read.
    pub(crate) async fn start(
        gateway: &Gateway,
        which: Which,
        types: Vec<String>,
        named: &[EventPosition],
    ) -> Result<Self, Error> {
        let engine = gateway.engine();
        // The subscription starts before the first search, so that nothing is missed in between.
        let changes = engine.store().changes();
        let looked_at = engine.now();
        let members = resume::members(engine, &which, named).await?;
        let mut follow = Self {
            gateway: gateway.clone(),
            which,
            types,
            members,
            changes,
            grown: VecDeque::new(),
            is_grown: HashSet::new(),
            page: VecDeque::new(),
            look_at: Instant::now() + LOOK_EVERY,
            looked_at,
            last: named.last().cloned(),
            is_over: false,
        };
        if !named.is_empty() {
            follow.members.live().into_iter().for_each(|run_id| follow.note(run_id));
        }
        Ok(follow)
    }

    /// Returns the next frame; `None` after the end. Cancel safe: no frame is lost.
    pub(crate) async fn next(&mut self) -> Option<Arc<Frame>> {
        if self.is_over {
            return None;
        }
        let closing = self.gateway.clone();
        loop {
            if let Some(frame) = self.page.pop_front() {
                if let StreamItem::Event(event) = &frame.told {
                    self.last =
                        Some(EventPosition { run_id: event.run_id.clone(), seq: event.seq });
                }
                return Some(frame);
            }
            let reason = tokio::select! {
                done = self.step() => match done {
                    Ok(()) => continue,
                    Err(_) => EndReason::Unavailable,
                },
                () = closing.closing() => EndReason::ShuttingDown,
            };
            self.is_over = true;
            let end = StreamEnd::for_now(reason, self.last.as_ref().map(ToString::to_string));
            return Some(Arc::new(Frame::new(StreamItem::End(Box::new(end)))));
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        if let Some(run_id) = self.grown.front().cloned() {
            let is_all = self.read(&run_id).await?;
            if is_all {
                self.grown.pop_front();
                self.is_grown.remove(&run_id);
            }
            return Ok(());
        }
        let heard = tokio::select! {
            heard = self.changes.recv() => heard,
            () = sleep_until(self.look_at) => Err(RecvError::Lagged(0)),
        };
        match heard {
            Ok(StoreChange::Run { run_id, .. }) => self.note(run_id),
            Ok(
                StoreChange::Queued
                | StoreChange::Asked { .. }
                | StoreChange::Turn
                | StoreChange::Inbox { .. },
            ) => {}
            Ok(StoreChange::Elsewhere) | Err(RecvError::Lagged(_)) => self.look().await?,
            Err(RecvError::Closed) => {
                sleep_until(self.look_at).await;
                self.look().await?;
            }
        }
        Ok(())
    }

    fn note(&mut self, run_id: RunId) {
        if self.is_grown.insert(run_id.clone()) {
            self.grown.push_back(run_id);
        }
    }

    /// Searches for runs without a hint.
    async fn look(&mut self) -> Result<(), Error> {
        let engine: Engine = self.gateway.engine().clone();
        let (now, seen) = (engine.now(), self.looked_at.minus(LOOK_BACK));
        let members = &self.members;
        let is_old = |run_id: &RunId| run_id.created_at() < seen;
        let new = list(&engine, &self.which.filter(), |stored| is_old(&stored.run.id)).await?;
        let new: Vec<RunId> = new.into_iter().map(|stored| stored.run.id).collect();
        let unknown = new.into_iter().rev().filter(|run_id| !members.knows(run_id));
        let all: Vec<RunId> = members.live().into_iter().chain(unknown).collect();
        all.into_iter().for_each(|run_id| self.note(run_id));
        self.looked_at = now;
        self.look_at = Instant::now() + LOOK_EVERY;
        Ok(())
    }

    /// Reads new events of one run. Returns true if there are no more.
    async fn read(&mut self, run_id: &RunId) -> Result<bool, Error> {
        let engine = self.gateway.engine().clone();
        let Some(told) = self.members.told(&engine, &self.which, run_id).await? else {
            return Ok(true);
        };
        let events = engine.store().events(run_id, told, PAGE).await?;
        let Some(last) = events.last() else { return Ok(true) };
        let is_all = events.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        let is_wanted = match &self.which.status {
            None => true,
            Some(status) => {
                let stored = engine.store().load(run_id).await?;
                stored.is_some_and(|stored| stored.run.status.name() == status)
            }
        };
        if is_last(&last.kind) {
            self.members.pass(run_id);
        } else {
            self.members.tell(run_id, last.seq);
        }
        if is_wanted {
            let wanted = events.into_iter().filter(|event| has(&self.types, &event.kind));
            self.page.extend(wanted.map(|event| Arc::new(Frame::new(StreamItem::Event(event)))));
        }
        Ok(is_all)
    }
}
