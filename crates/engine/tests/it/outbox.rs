//! Reports to real receivers: signed, retried, held, and never sent to forbidden addresses.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::Clock;
use errand_engine::Engine;
use errand_engine::outbox::{
    self, Addresses, CallbackUrl, DeliverySettings, EntryState, LoggedReport, Names, Outbox,
    SystemNames,
};
use errand_engine::run_options::RunOptions;
use errand_engine::submission::CheckedSubmission;
use errand_engine::submit;
use errand_model::callback::CallbackEvent;
use errand_model::event::{CancelCause, PauseReason};
use errand_model::run::{Cancel, Command as RunCommand, Pause};
use errand_model::{Event, EventContext, RunId, Timestamp};
use errand_store::{Append, DocumentChange, DocumentKind, DocumentWrite, Expect, Fence};
use errand_testkit::{Reaction, ReceivedRequest, Receiver};
use serde_json::Value;

use crate::support::{Parts, engine_of, job, nothing};

/// A clock that a test sets.
#[derive(Debug)]
pub(crate) struct SetClock(pub(crate) AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn steadied(&self, at_least: Timestamp) -> Arc<dyn Clock> {
        Arc::new(Self(AtomicI64::new(self.now().max(at_least).as_millis())))
    }
}

struct World {
    folder: tempfile::TempDir,
    engine: Engine,
    clock: Arc<SetClock>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SetClock(AtomicI64::new(1_790_000_000_000)));
        let engine = engine(folder.path(), Arc::clone(&clock));
        Self { folder, engine, clock }
    }

    fn pass(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap();
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Makes a run that reports to `url` and was cancelled before it began.
    async fn cancelled(&self, url: &str) -> RunId {
        let run_id = self.admitted(url, Vec::new()).await;
        let cause = CancelCause::Stopped;
        let cancel = Cancel { cause, by: None, grace: Duration::ZERO };
        self.command(&run_id, &cancel.into()).await;
        run_id
    }

    async fn admitted(&self, url: &str, callback_events: Vec<CallbackEvent>) -> RunId {
        let options = RunOptions {
            callback_url: Some(url.to_owned()),
            callback_events,
            ..RunOptions::default()
        };
        let submission = job(&self.engine, &nothing(self.folder.path()), options);
        let submission = CheckedSubmission::for_any_worker(&self.engine, submission).unwrap();
        submit::admit(&self.engine, submission).await.unwrap().0
    }

    /// Executes a command as a holder of the run.
    async fn command(&self, run_id: &RunId, command: &RunCommand) {
        let store = self.engine.store();
        let stored = store.load(run_id).await.unwrap().unwrap();
        let holder = self.engine.holder().clone();
        let lease = store.take(run_id, stored.epoch, holder, None).await.unwrap();
        let now = self.engine.now();
        let decision = stored.run.decide(command, now).unwrap();
        let (mut head, context) = (stored.head, EventContext { at: now, attempt: 0 });
        let events: Vec<Event> =
            decision.events.iter().map(|body| head.seal(run_id, now, 0, body)).collect();
        let run = stored.run.apply_all(context, &decision.events).unwrap();
        let documents = outbox::documents(&run, &events);
        let append = Append {
            run,
            head,
            events,
            steps: Vec::new(),
            fence: Fence { epoch: lease.epoch },
            snapshot: true,
            release: true,
            requeue: None,
            answered: Vec::new(),
            documents,
        };
        store.append(append).await.unwrap();
    }

    /// Delivers due reports, and waits until that is done.
    async fn deliver(&self, settings: &DeliverySettings) {
        let mut outbox = Outbox::new(self.engine.clone(), settings.clone());
        outbox.look().await.unwrap();
        while outbox.is_busy() {
            outbox.one_ended().await;
            outbox.look().await.unwrap();
        }
    }

    async fn log(&self, run_id: &RunId) -> Vec<LoggedReport> {
        outbox::deliveries(&self.engine, None, run_id).await.unwrap()
    }

    async fn only(&self, run_id: &RunId) -> LoggedReport {
        let mut log = self.log(run_id).await;
        assert_eq!(log.len(), 1, "{log:?}");
        log.remove(0)
    }
}

pub(crate) fn engine(root: &Path, clock: Arc<SetClock>) -> Engine {
    engine_of(root, Parts { clock, ..Parts::default() })
}

fn development() -> DeliverySettings {
    DeliverySettings::new(Addresses { rules: Vec::new(), loopback: true })
}

fn json(received: &ReceivedRequest) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

/// Returns the signature of a message, by Python's own hmac.
fn signed_by_python(secret: &str, received: &ReceivedRequest) -> String {
    let script = "import sys, hmac, hashlib, base64\n\
                  key = base64.b64decode(sys.argv[1].removeprefix('whsec_'))\n\
                  body = sys.stdin.buffer.read()\n\
                  message = (sys.argv[2] + '.' + sys.argv[3] + '.').encode() + body\n\
                  print('v1,' + base64.b64encode(\n\
                      hmac.new(key, message, hashlib.sha256).digest()).decode())\n";
    let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let mut python = Command::new("python3")
        .args(["-c", script, secret, id, timestamp])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    io::Write::write_all(&mut stdin, &received.body).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_end_of_a_run_is_reported_once_and_signed_as_python_signs_it() {
    let (world, receiver) = (World::new(), Receiver::start());
    let url = CallbackUrl::parse(&receiver.url("/hook")).unwrap();
    let (_, secret) = outbox::add_target(&world.engine, None, &url).await.unwrap();
    let run_id = world.cancelled(&receiver.url("/hook?token=secret")).await;
    world.deliver(&development()).await;
    world.deliver(&development()).await;
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    let report = &received[0];
    assert_eq!(report.line, "POST /hook?token=secret HTTP/1.1");
    assert_eq!(report.header("content-type"), "application/json");
    assert_eq!(report.header("webhook-signature"), signed_by_python(&secret.expose(), report));
    let body = json(report);
    assert_eq!(body["type"], "run.cancelled");
    assert_eq!(body["data"]["run_id"], run_id.as_str());
    assert_eq!(body["data"]["status"], "cancelled");
    assert_eq!(body["data"]["namespace"], "default");
    let logged = world.only(&run_id).await;
    assert_eq!(logged.id, report.header("webhook-id"));
    assert_eq!((logged.state, logged.tries), (EntryState::Delivered, 1));
    assert_eq!(logged.deliveries[0].status, Some(204));
    assert!(!logged.url.contains("secret"), "{}", logged.url);
}

#[tokio::test]
async fn an_unreadable_receiver_does_not_block_reports_to_others() {
    let (world, broken, other) = (World::new(), Receiver::start(), Receiver::start());
    let url = CallbackUrl::parse(&broken.url("/")).unwrap();
    let damage = DocumentWrite {
        kind: DocumentKind::CallbackTarget,
        namespace: None,
        key: url.origin(),
        expect: Expect::Absent,
        change: DocumentChange::Put { body: Value::Null, due_at: None },
    };
    world.engine.store().write_documents(vec![damage]).await.unwrap();
    let unlucky = world.cancelled(&broken.url("/")).await;
    let run_id = world.cancelled(&other.url("/")).await;
    let unluckier = world.cancelled(&broken.url("/")).await;
    world.deliver(&development()).await;
    assert_eq!(world.only(&run_id).await.state, EntryState::Delivered);
    for waits in [unlucky, unluckier] {
        assert_eq!(world.only(&waits).await.state, EntryState::Waiting);
    }
}

#[tokio::test]
async fn a_failed_report_is_retried_with_the_same_id_and_body() {
    let (world, receiver) = (World::new(), Receiver::start());
    let redirect = vec![("location".to_owned(), receiver.url("/elsewhere"))];
    let wait = vec![("retry-after".to_owned(), "3600".to_owned())];
    receiver.react([
        Reaction::Answer(500, Vec::new(), "it broke\u{0}".to_owned()),
        Reaction::HangUp,
        Reaction::Answer(302, redirect, String::new()),
        Reaction::Answer(503, wait, String::new()),
    ]);
    let run_id = world.cancelled(&receiver.url("/")).await;
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.deliver(&development()).await;
        let logged = world.only(&run_id).await;
        assert_eq!(logged.state, EntryState::Waiting);
        let wait = logged.next_try_at_ms.unwrap().since(world.engine.now());
        waits.push(wait.as_secs());
        world.deliver(&development()).await;
        world.pass(wait);
    }
    world.deliver(&development()).await;
    let received = receiver.received();
    assert_eq!(
        received.len(),
        5,
        "nothing was sent before it was due, nor to where it was sent on"
    );
    assert!((5..=6).contains(&waits[0]) && (30..=36).contains(&waits[1]), "{waits:?}");
    assert!((120..=144).contains(&waits[2]) && waits[3] == 3_600, "{waits:?}");
    for later in &received[1..] {
        assert_eq!(later.header("webhook-id"), received[0].header("webhook-id"));
        assert_eq!(later.body, received[0].body);
        assert_ne!(later.header("webhook-timestamp"), received[0].header("webhook-timestamp"));
    }
    let logged = world.only(&run_id).await;
    assert_eq!((logged.state, logged.tries), (EntryState::Delivered, 5));
    let statuses: Vec<_> = logged.deliveries.iter().map(|delivery| delivery.status).collect();
    assert_eq!(statuses, [Some(500), None, Some(302), Some(503), Some(204)]);
    assert_eq!(logged.deliveries[0].response.as_deref(), Some("it broke "));
    assert!(logged.deliveries[2].error.as_deref().unwrap().contains("redirects are not followed"));
}

#[tokio::test]
async fn a_report_is_abandoned_after_a_day_or_a_410_until_it_is_redelivered() {
    let (world, receiver) = (World::new(), Receiver::start());
    receiver.react([Reaction::status(410)]);
    let gone = world.cancelled(&receiver.url("/")).await;
    world.deliver(&development()).await;
    assert_eq!(world.only(&gone).await.state, EntryState::Abandoned);
    receiver.react((0..11).map(|_| Reaction::status(500)));
    let late = world.cancelled(&receiver.url("/")).await;
    for _ in 0..20 {
        world.deliver(&development()).await;
        let logged = world.only(&late).await;
        world.pass(logged.next_try_at_ms.map_or(Duration::ZERO, |at| at.since(world.engine.now())));
    }
    let logged = world.only(&late).await;
    assert_eq!((logged.state, logged.tries), (EntryState::Abandoned, 11));
    outbox::redeliver(&world.engine, None, &logged.id).await.unwrap();
    world.deliver(&development()).await;
    let logged = world.only(&late).await;
    assert_eq!((logged.state, logged.tries), (EntryState::Delivered, 12));
    assert!(outbox::redeliver(&world.engine, Some("other"), &logged.id).await.is_err());
}

#[tokio::test]
async fn a_receiver_that_fails_for_long_is_disabled_and_its_reports_wait() {
    let (world, receiver) = (World::new(), Receiver::start());
    receiver.react((0..20).map(|_| Reaction::status(500)));
    let mut runs = Vec::new();
    for _ in 0..19 {
        runs.push(world.cancelled(&receiver.url("/")).await);
    }
    world.deliver(&development()).await;
    let origin = CallbackUrl::parse(&receiver.url("/")).unwrap().origin();
    let view = || async { outbox::targets(&world.engine, None).await.unwrap().remove(0) };
    assert!(view().await.enabled, "a burst of failures is no reason");
    world.pass(Duration::from_secs(3_600));
    // The twentieth failure, an hour after the first.
    let last = world.cancelled(&receiver.url("/")).await;
    for run_id in &runs {
        let id = world.only(run_id).await.id;
        outbox::redeliver(&world.engine, None, &id).await.unwrap();
    }
    let mut outbox = Outbox::new(world.engine.clone(), development());
    outbox.look().await.unwrap();
    while outbox.is_busy() {
        outbox.one_ended().await;
    }
    world.deliver(&development()).await;
    let disabled = view().await;
    assert!(!disabled.enabled, "{disabled:?}");
    assert!(disabled.disabled.unwrap().why.contains("500"));
    let mut held = 0;
    for run_id in runs.iter().chain([&last]) {
        held += usize::from(world.only(run_id).await.state == EntryState::Held);
    }
    assert!(held > 0);
    let before = receiver.received().len();
    world.pass(Duration::from_secs(24 * 3_600));
    world.deliver(&development()).await;
    assert_eq!(receiver.received().len(), before, "nothing is sent to a disabled receiver");
    outbox::enable(&world.engine, None, &origin).await.unwrap();
    world.deliver(&development()).await;
    for run_id in runs.iter().chain([&last]) {
        assert_eq!(world.only(run_id).await.state, EntryState::Delivered);
    }
}

#[tokio::test]
async fn a_slow_receiver_leaves_room_for_others() {
    let (world, slow, quick) = (World::new(), Receiver::start(), Receiver::start());
    slow.react((0..100).map(|_| Reaction::Silence));
    for _ in 0..40 {
        world.cancelled(&slow.url("/")).await;
    }
    let run_id = world.cancelled(&quick.url("/")).await;
    let mut outbox = Outbox::new(world.engine.clone(), development());
    outbox.look().await.unwrap();
    outbox.one_ended().await;
    assert_eq!(world.only(&run_id).await.state, EntryState::Delivered);
    let waiting = tokio::task::spawn_blocking(move || slow.wait_for(4).len());
    tokio::select! {
        () = outbox.one_ended() => unreachable!("nothing answers"),
        under_way = waiting => {
            assert_eq!(under_way.unwrap(), 4, "so many at once for one receiver, and no more");
        }
    }
}

#[tokio::test]
async fn two_outboxes_at_once_try_a_report_once() {
    let (world, receiver) = (World::new(), Receiver::start());
    for _ in 0..20 {
        world.cancelled(&receiver.url("/")).await;
    }
    let settings = development();
    tokio::join!(world.deliver(&settings), world.deliver(&settings), world.deliver(&settings));
    let mut ids: Vec<String> =
        receiver.received().iter().map(|it| it.header("webhook-id").to_owned()).collect();
    ids.sort();
    let count = ids.len();
    ids.dedup();
    assert_eq!((count, ids.len()), (20, 20));
}

#[tokio::test]
async fn a_report_claimed_by_a_dead_process_is_delivered_by_another() {
    let (world, receiver) = (World::new(), Receiver::start());
    receiver.react([Reaction::Silence]);
    let run_id = world.cancelled(&receiver.url("/")).await;
    let mut dead = Outbox::new(world.engine.clone(), development());
    dead.look().await.unwrap();
    let (waited, _) = tokio::join!(
        tokio::task::spawn_blocking({
            let receiver = receiver.clone();
            move || receiver.wait_for(1)
        }),
        tokio::time::timeout(Duration::from_millis(500), dead.one_ended()),
    );
    assert_eq!(waited.unwrap().len(), 1);
    drop(dead);
    world.deliver(&development()).await;
    assert_eq!(receiver.received().len(), 1, "for a while it belongs to the one that died");
    world.pass(Duration::from_secs(31));
    world.deliver(&development()).await;
    let received = receiver.received();
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    let logged = world.only(&run_id).await;
    assert_eq!((logged.state, logged.tries), (EntryState::Delivered, 2));
    assert_eq!(logged.deliveries[0].duration_ms, None);
}

#[tokio::test]
async fn only_subscribed_events_are_reported() {
    let (world, receiver) = (World::new(), Receiver::start());
    let events = vec![CallbackEvent::Paused, CallbackEvent::Completed];
    let run_id = world.admitted(&receiver.url("/"), events).await;
    let pause = Pause { reason: PauseReason::Operator, by: Some("ops".to_owned()) };
    world.command(&run_id, &pause.into()).await;
    let cancel = Cancel { cause: CancelCause::Stopped, by: None, grace: Duration::ZERO };
    world.command(&run_id, &cancel.into()).await;
    world.deliver(&development()).await;
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    let body = json(&received[0]);
    assert_eq!(body["type"], "run.paused");
    assert_eq!(body["data"]["status"], "paused", "as it was then, not as it is now");
    assert_eq!(body["data"]["pause"]["by"], "ops");
}

/// Names of an attacker: a public address first, then this machine.
#[derive(Debug)]
struct Rebinding {
    answers: Mutex<Vec<IpAddr>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Names for Rebinding {
    async fn look_up(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.answers.lock().unwrap().pop().into_iter().collect())
    }
}

#[tokio::test]
async fn a_host_name_that_resolves_to_this_machine_is_refused_at_connection() {
    let (world, receiver) = (World::new(), Receiver::start());
    let url = format!("http://hook.attacker.example:{}/", receiver.port());
    CallbackUrl::parse(&url).unwrap().check(&Addresses::default()).unwrap();
    let names = Rebinding {
        answers: Mutex::new(vec![
            "::ffff:127.0.0.1".parse().unwrap(),
            "127.0.0.1".parse().unwrap(),
        ]),
        asked: AtomicUsize::new(0),
    };
    let names = Arc::new(names);
    let addresses = Arc::new(Addresses::default());
    let settings = DeliverySettings { addresses, names: Arc::clone(&names) as Arc<dyn Names> };
    for expected in ["127.0.0.1", "::ffff:127.0.0.1"] {
        let run_id = world.cancelled(&url).await;
        world.deliver(&settings).await;
        let logged = world.only(&run_id).await;
        assert_eq!(logged.state, EntryState::Abandoned);
        let note = logged.note.unwrap();
        assert!(note.contains(expected) && note.contains("not a public one"), "{note}");
    }
    assert_eq!(names.asked.load(Ordering::SeqCst), 2);
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn loopback_is_refused_unless_it_is_allowed() {
    let (world, receiver) = (World::new(), Receiver::start());
    let strict = DeliverySettings::new(Addresses::default());
    let by_name = format!("http://localhost:{}/", receiver.port());
    for url in [receiver.url("/"), by_name.clone()] {
        let run_id = world.cancelled(&url).await;
        world.deliver(&strict).await;
        assert_eq!(world.only(&run_id).await.state, EntryState::Abandoned, "{url}");
    }
    assert!(receiver.received().is_empty());
    let rules = vec!["localhost".parse().unwrap()];
    let allowed = DeliverySettings {
        addresses: Arc::new(Addresses { rules, loopback: false }),
        names: Arc::new(SystemNames),
    };
    let run_id = world.cancelled(&by_name).await;
    world.deliver(&allowed).await;
    assert_eq!(world.only(&run_id).await.state, EntryState::Delivered);
}

#[tokio::test]
async fn reports_of_a_removed_run_are_gone_with_it() {
    let (world, receiver) = (World::new(), Receiver::start());
    receiver.react([Reaction::status(500)]);
    let run_id = world.cancelled(&receiver.url("/")).await;
    world.deliver(&development()).await;
    errand_engine::remove::remove(&world.engine, &run_id).await.unwrap();
    assert!(world.log(&run_id).await.is_empty());
    world.pass(Duration::from_secs(60));
    world.deliver(&development()).await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn the_secret_of_a_receiver_is_not_in_the_registry() {
    let (world, receiver) = (World::new(), Receiver::start());
    let url = CallbackUrl::parse(&receiver.url("/")).unwrap();
    let (view, first) = outbox::add_target(&world.engine, None, &url).await.unwrap();
    assert!(outbox::add_target(&world.engine, None, &url).await.is_err());
    let (_, second) = outbox::rotate(&world.engine, None, &view.origin).await.unwrap();
    assert_ne!(first, second);
    let kept = world
        .engine
        .store()
        .document(DocumentKind::CallbackTarget, None, &view.origin)
        .await
        .unwrap()
        .unwrap();
    let text = kept.body.to_string();
    assert!(!text.contains("whsec_") && !text.contains(&second.expose()[6..]), "{text}");
}
