//! Announcement of commits: to listeners in this process at once, to other processes by `NOTIFY`.
//!
//! Notifications are sent on a separate connection after the commits, under load at most once in
//! [`PAUSE`]: a `NOTIFY` inside a transaction would make all commits of the server wait for each
//! other. The server wakes every listening session for each of them, so the pause grows with the
//! number of sessions. A lost notification (a broken connection, a full queue) only causes a delay,
//! since listeners also poll.

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

/// Upper bound on a pause, however many sessions there are. It does not hold up queued runs and
/// requests.
const PAUSE_LIMIT: Duration = Duration::from_secs(2);

/// Sessions with which a pause need not grow: those of eight processes.
const FEW_SESSIONS: i32 = 24;

/// Time for which the number of sessions is taken as unchanged.
const COUNTED_FOR: Duration = Duration::from_secs(5);

/// Time without a listener after which a session stops listening: listeners that rest may be back
/// soon.
const REST_AFTER: Duration = Duration::from_millis(250);

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
    /// Woken when a notification is due.
    stirred: Notify,
    /// Woken when a notification is due that a client or a worker waits for.
    hurried: Notify,
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
        Changes::everywhere(self.changes.subscribe(), &self.listeners)
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
        let hurries = changes.iter().any(|change| match change {
            StoreChange::Queued | StoreChange::Asked { .. } | StoreChange::Inbox { .. } => true,
            StoreChange::Run { .. } | StoreChange::Turn | StoreChange::Elsewhere => false,
        });
        if hurries {
            self.hurried.notify_one();
        }
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
        () = shared.outbox.stirred.notified() => shared.outbox.stirred.notify_one(),
        () = shared.listeners.changed.notified() => {}
        () = shared.driver.closed() => return,
    }
    let mut is_first = true;
    let mut pause = FIRST;
    while !shared.driver.is_closing() {
        if let Ok(mut line) = Line::open(&shared).await {
            line.is_late = !is_first;
            if !is_first {
                // Other processes may have missed changes of this one.
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

/// A connection on which notifications are sent and, if this process has listeners, received.
struct Line {
    db: Db,
    /// Id of this session: its own notifications are ignored.
    own: i32,
    received: mpsc::Receiver<Notification>,
    listens: bool,
    /// True if a listener may have missed changes when the connection begins to listen.
    is_late: bool,
    /// Number of sessions of all processes, and the time at which it was asked for.
    sessions: (i32, Option<Instant>),
}

impl Line {
    async fn open(shared: &Shared) -> Result<Self, Failure> {
        let (sender, received) = mpsc::channel(RECEIVED_LIMIT);
        let db =
            connect_listening(&shared.address, &shared.driver, Purpose::Read, Some(sender)).await?;
        let row = db.query_first("SELECT pg_backend_pid()", &[]).await?;
        let own = row.map_or(Ok(0), |row| row.try_get(0))?;
        Ok(Self { db, own, received, listens: false, is_late: false, sessions: (0, None) })
    }

    /// Returns when the connection broke, or when the registry is closed and all changes were sent.
    async fn serve(&mut self, shared: &Shared) {
        let (mut next, mut soon) = (Instant::now(), Instant::now());
        let mut rests_at = None;
        loop {
            if self.listen(shared).await.is_err() {
                return;
            }
            tokio::select! {
                notification = self.received.recv() => {
                    let Some(notification) = notification else { return };
                    self.pass_on(shared, &notification);
                }
                () = shared.listeners.changed.notified() => {
                    let rest = (!shared.listeners.are_there()).then(|| Instant::now() + REST_AFTER);
                    rests_at = rest.filter(|_| self.listens);
                }
                () = until(rests_at) => {
                    rests_at = None;
                    if self.db.batch("UNLISTEN errand").await.is_err() {
                        return;
                    }
                    self.listens = false;
                }
                () = tell_from(&shared.outbox, next, soon) => {
                    let Some(text) = shared.outbox.take() else { continue };
                    let Ok(pause) = self.notify(&text).await else { return };
                    next = Instant::now() + pause;
                    soon = Instant::now() + pause.min(PAUSE);
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

    /// Begins to receive notifications once this process has a listener.
    async fn listen(&mut self, shared: &Shared) -> Result<(), Failure> {
        if !self.listens && shared.listeners.are_there() {
            self.db.batch("LISTEN errand").await?;
            self.listens = true;
            if self.is_late {
                drop(shared.changes.send(StoreChange::Elsewhere));
            }
        }
        self.is_late = true;
        Ok(())
    }

    /// Sends a notification. Returns the pause until the next one.
    async fn notify(&mut self, text: &str) -> Result<Duration, Failure> {
        const SESSIONS: &str = "SELECT pg_stat_get_db_numbackends(oid) FROM pg_database \
             WHERE datname = current_database()";
        self.db.query(NOTIFY, &[&text]).await?;
        if self.sessions.1.is_none_or(|at| at.elapsed() > COUNTED_FOR) {
            let row = self.db.query_first(SESSIONS, &[]).await?;
            let sessions = row.map_or(Ok(0), |row| row.try_get(0))?;
            self.sessions = (sessions, Some(Instant::now()));
        }
        Ok(pause_after(text, self.sessions.0))
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

/// Returns the pause after a notification. Each of n processes wakes n others: with a pause that
/// grows by the square of n, the server's work is the same with many as with few.
fn pause_after(text: &str, sessions: i32) -> Duration {
    let runs = text.split(' ').filter(|word| ![QUEUED, TURN].contains(word)).count();
    let pause = if runs > 1 { PAUSE } else { SHORT_PAUSE };
    let factor = f64::from(sessions.max(FEW_SESSIONS)) / f64::from(FEW_SESSIONS);
    pause.mul_f64(factor * factor).min(PAUSE_LIMIT)
}

/// Returns at that time; `None`: never.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Returns once a change is to be sent: not before `next`, or not before `soon` if a client or a
/// worker waits for it.
async fn tell_from(outbox: &Outbox, next: Instant, soon: Instant) {
    let in_turn = async {
        tokio::time::sleep_until(next).await;
        outbox.stirred.notified().await;
    };
    let in_a_hurry = async {
        tokio::time::sleep_until(soon).await;
        outbox.hurried.notified().await;
    };
    tokio::select! {
        () = in_turn => {}
        () = in_a_hurry => {}
    }
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
    fn pauses_grow_with_the_number_of_sessions_up_to_a_bound() {
        let (one, many) = ("r:a:1:0", "r:a:1:0 r:b:1:0");
        assert_eq!(pause_after(one, 3), SHORT_PAUSE);
        assert_eq!(pause_after(many, FEW_SESSIONS), PAUSE);
        assert_eq!(pause_after(one, FEW_SESSIONS * 4), SHORT_PAUSE * 16);
        assert_eq!(pause_after(many, FEW_SESSIONS * 32), PAUSE_LIMIT);
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
