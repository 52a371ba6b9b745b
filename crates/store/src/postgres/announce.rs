//! Announcement of commits: to listeners in this process at once, to other processes by `NOTIFY`.
//!
//! Notifications are sent on a separate connection after the commits, under load at most once in
//! [`PAUSE`]: a `NOTIFY` inside a transaction would make all commits of the server wait for each
//! other. A lost notification (a broken connection, a full queue) only causes a delay, since
//! listeners also poll.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use errand_model::RunId;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_postgres::Notification;

use super::connect::{Purpose, connect_listening};
use super::db::Db;
use super::failure::Failure;
use super::patience::{FIRST, jittered, next_pause};
use super::{Notices, Shared};
use crate::{Changes, StoreChange};

/// Pause of a process after a notification about several changes.
const PAUSE: Duration = Duration::from_millis(10);

/// Pause after a notification about a single run: its listener need not wait.
const SHORT_PAUSE: Duration = Duration::from_millis(1);

/// Runs that one notification names; further ones are summarized as [`MORE`]. PostgreSQL takes
/// 8,000 bytes.
const NAMED_LIMIT: usize = 150;

/// Received notifications that wait to be passed on. Further ones are lost.
const RECEIVED_LIMIT: usize = 1_024;

/// Statement that sends a notification.
const NOTIFY: &str = "SELECT pg_notify('errand', $1)";

/// Words of a notification that name no run.
const QUEUED: &str = "q";
const TURN: &str = "t";
const MORE: &str = "e";

/// Changes that other processes have not been notified of.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    /// Woken when a notification is due, or a listener subscribes.
    stirred: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    runs: BTreeMap<RunId, (u64, bool)>,
    asked: BTreeSet<RunId>,
    messages: BTreeSet<RunId>,
    /// Words for changes that concern no particular run.
    words: BTreeSet<&'static str>,
}

impl Shared {
    /// Subscribes to commits from now on.
    pub(super) fn listen(&self) -> Changes {
        let changes = self.changes.subscribe();
        self.outbox.stirred.notify_one();
        changes
    }

    /// Announces a commit.
    pub(super) fn announce(&self, changes: Vec<StoreChange>) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if changes.is_empty() {
            return;
        }
        if self.notices == Notices::Send {
            self.outbox.put(&changes);
        }
        if self.changes.receiver_count() == 0 {
            return;
        }
        for change in changes {
            // The last listener may have gone just now.
            drop(self.changes.send(change));
        }
    }
}

impl Outbox {
    fn put(&self, changes: &[StoreChange]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let named = waiting.runs.len() + waiting.asked.len() + waiting.messages.len();
            let is_full = named >= NAMED_LIMIT;
            match change {
                StoreChange::Queued => {
                    waiting.words.insert(QUEUED);
                }
                StoreChange::Turn => {
                    waiting.words.insert(TURN);
                }
                StoreChange::Run { .. } | StoreChange::Asked { .. } | StoreChange::Inbox { .. }
                    if is_full =>
                {
                    waiting.words.insert(MORE);
                }
                StoreChange::Run { run_id, seq, is_over } => {
                    waiting.runs.insert(run_id.clone(), (*seq, *is_over));
                }
                StoreChange::Asked { run_id } => {
                    waiting.asked.insert(run_id.clone());
                }
                StoreChange::Inbox { run_id } => {
                    waiting.messages.insert(run_id.clone());
                }
                StoreChange::Elsewhere => {}
            }
        }
        drop(waiting);
        self.stirred.notify_one();
    }

    /// Notifies other processes that they have to poll.
    fn put_more(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).words.insert(MORE);
        self.stirred.notify_one();
    }

    /// Takes all pending changes as one text; `None`: there are none.
    fn take(&self) -> Option<String> {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        let mut words: Vec<String> = waiting.words.into_iter().map(str::to_owned).collect();
        for (run_id, (seq, is_over)) in waiting.runs {
            words.push(format!("r:{run_id}:{seq}:{}", u8::from(is_over)));
        }
        words.extend(waiting.asked.into_iter().map(|run_id| format!("a:{run_id}")));
        words.extend(waiting.messages.into_iter().map(|run_id| format!("i:{run_id}")));
        (!words.is_empty()).then(|| words.join(" "))
    }
}

/// Parses a notification. Unknown words come from a newer program.
fn read(text: &str) -> Vec<StoreChange> {
    text.split(' ').map(|word| read_word(word).unwrap_or(StoreChange::Elsewhere)).collect()
}

fn read_word(word: &str) -> Option<StoreChange> {
    let mut parts = word.split(':');
    let run_id = |text: Option<&str>| RunId::try_from(text?.to_owned()).ok();
    match parts.next()? {
        QUEUED => Some(StoreChange::Queued),
        "r" => Some(StoreChange::Run {
            run_id: run_id(parts.next())?,
            seq: parts.next()?.parse().ok()?,
            is_over: parts.next()? == "1",
        }),
        TURN => Some(StoreChange::Turn),
        "i" => Some(StoreChange::Inbox { run_id: run_id(parts.next())? }),
        "a" => Some(StoreChange::Asked { run_id: run_id(parts.next())? }),
        _ => None,
    }
}

/// Sends and receives notifications until the registry is closed. Connects once there is a change
/// to announce or a listener.
pub(super) async fn herald(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.outbox.stirred.notified() => {}
        () = shared.driver.closed() => return,
    }
    let mut is_first = true;
    let mut pause = FIRST;
    while !shared.driver.is_closing() {
        if let Ok(mut line) = Line::open(&shared).await {
            if !is_first {
                // Changes may have been missed, by this process and by others.
                drop(shared.changes.send(StoreChange::Elsewhere));
                shared.outbox.put_more();
            }
            let began = Instant::now();
            line.serve(&shared).await;
            // A connection that lasted is replaced at once: until then no notification arrives.
            if began.elapsed() > LASTED {
                pause = FIRST;
            }
        }
        is_first = false;
        tokio::select! {
            () = tokio::time::sleep(jittered(pause)) => {}
            () = shared.driver.closed() => {}
        }
        pause = next_pause(pause);
    }
}

/// A connection that broke sooner than this is replaced after a growing pause.
const LASTED: Duration = Duration::from_millis(50);

/// A connection on which notifications are sent and received.
struct Line {
    db: Db,
    /// Id of this session: its own notifications are ignored.
    own: i32,
    received: mpsc::Receiver<Notification>,
}

impl Line {
    async fn open(shared: &Shared) -> Result<Self, Failure> {
        let (sender, received) = mpsc::channel(RECEIVED_LIMIT);
        let db =
            connect_listening(&shared.address, &shared.driver, Purpose::Read, Some(sender)).await?;
        let row = db.query_first("SELECT pg_backend_pid()", &[]).await?;
        let own = row.map_or(Ok(0), |row| row.try_get(0))?;
        db.batch("LISTEN errand").await?;
        Ok(Self { db, own, received })
    }

    /// Returns when the connection broke, or when the registry is closed and all changes were sent.
    async fn serve(&mut self, shared: &Shared) {
        let mut next = Instant::now();
        loop {
            tokio::select! {
                notification = self.received.recv() => {
                    let Some(notification) = notification else { return };
                    self.pass_on(shared, &notification);
                }
                () = tell_from(shared, next) => {
                    let Some(text) = shared.outbox.take() else { continue };
                    if self.db.query(NOTIFY, &[&text]).await.is_err() {
                        return;
                    }
                    next = Instant::now() + pause_after(&text);
                }
                () = shared.driver.closed() => {
                    if let Some(text) = shared.outbox.take() {
                        // A lost notification is only a delay.
                        drop(self.db.query(NOTIFY, &[&text]).await);
                    }
                    return;
                }
            }
        }
    }

    fn pass_on(&self, shared: &Shared, notification: &Notification) {
        if notification.process_id() == self.own || shared.changes.receiver_count() == 0 {
            return;
        }
        for change in read(notification.payload()) {
            // The last listener may have gone just now.
            drop(shared.changes.send(change));
        }
    }
}

/// Returns the pause after a notification.
fn pause_after(text: &str) -> Duration {
    let runs = text.split(' ').filter(|word| ![QUEUED, TURN].contains(word)).count();
    if runs > 1 { PAUSE } else { SHORT_PAUSE }
}

/// Returns once a change is to be sent, but not before `next`.
async fn tell_from(shared: &Shared, next: Instant) {
    tokio::time::sleep_until(next).await;
    shared.outbox.stirred.notified().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_parse_back_into_the_changes_that_were_sent() {
        let run_id = RunId::new(errand_model::Timestamp::from_millis(1_800_000_000_000), 7);
        let changes = vec![
            StoreChange::Queued,
            StoreChange::Turn,
            StoreChange::Run { run_id: run_id.clone(), seq: 9, is_over: true },
            StoreChange::Asked { run_id: run_id.clone() },
            StoreChange::Inbox { run_id },
        ];
        let outbox = Outbox::default();
        outbox.put(&changes);
        assert_eq!(read(&outbox.take().unwrap()), changes);
        assert_eq!(outbox.take(), None);
        assert_eq!(read("z:1"), [StoreChange::Elsewhere]);
    }

    #[test]
    fn a_notification_of_many_changes_is_bounded() {
        let outbox = Outbox::default();
        for number in 0..1_000 {
            let at = errand_model::Timestamp::from_millis(1_800_000_000_000 + number);
            let (run_id, seq) = (RunId::new(at, 7), u64::MAX);
            outbox.put(&[StoreChange::Run { run_id, seq, is_over: false }]);
        }
        let text = outbox.take().unwrap();
        assert!(text.len() < 8_000, "{} bytes", text.len());
        assert!(read(&text).contains(&StoreChange::Elsewhere));
    }
}
