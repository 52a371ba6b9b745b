//! The loop that delivers reports.
//!
//! Any number of processes may run it: an entry is claimed for a while by the first process that
//! changes it. Deliberately absent: queues in memory. Due entries are read from the store each
//! time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use errand_agent::os;
use errand_agent::secret::Sealer;
use errand_model::Timestamp;
use errand_store::{Changes, Document, DocumentKind, Expect, StoreChange};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::client::{Answer, Client, Message, TRY_LIMIT};
use super::entry::{DeliveryAttempt, EntryState, OutboxEntry};
use super::report::ReportBody;
use super::settle::{FinishedTry, count, settle};
use super::target::CallbackReceiver;
use super::{Addresses, CallbackUrl, Error, report, target};
use crate::Engine;
use crate::error::PayloadRefused;
use crate::outgoing::{Names, SystemNames};

/// Tries at once in this process.
const IN_FLIGHT: usize = 32;
/// Tries at once per receiver: a slow one leaves room for others.
const IN_FLIGHT_PER_TARGET: usize = 4;
/// Entries read together.
const WINDOW: u32 = 256;
/// Entries per receiver in one window; further ones are deferred by [`LATER`], so that others come
/// into the window.
const WINDOW_PER_TARGET: usize = 64;
/// Delay of entries beyond a receiver's part of the window.
const LATER: Duration = Duration::from_secs(2);
/// Time for which an entry is claimed by the process that tries it: a little longer than a try can
/// take. If that process dies, another one tries then.
const CLAIMED_FOR: Duration = Duration::from_secs(TRY_LIMIT.as_secs() + 5);
/// Interval at which held entries of a disabled receiver are checked, in case enabling it did not
/// release them.
const HELD_FOR: Duration = Duration::from_secs(10 * 60);
/// Shortest and longest interval at which the run of a task is looked at for the senders of its other
/// ids. Each look is a write, so they become rarer as the run becomes older.
const ALIAS_LOOKS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];
/// Part of a run's age after which it is looked at again.
const ALIAS_AGE_PART: u32 = 10;
/// Longest time between two looks at the store: changes by other processes may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time for which notifications are gathered before a look at the store.
const GATHER: Duration = Duration::from_millis(50);
/// Longest time for tries to end after `stop`; others are tried again later.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Settings of the delivery of reports.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// Addresses that reports may go to.
    pub addresses: Arc<Addresses>,
    /// Resolver of host names.
    pub names: Arc<dyn Names>,
}

impl DeliverySettings {
    /// Returns settings with those addresses and the resolver of this machine.
    pub fn new(addresses: Addresses) -> Self {
        Self { addresses: Arc::new(addresses), names: Arc::new(SystemNames) }
    }
}

/// Delivery loop of reports.
#[derive(Debug)]
pub struct Outbox {
    engine: Engine,
    settings: DeliverySettings,
    /// Created when the first report is due: most servers never send one.
    tools: Option<Tools>,
    under_way: JoinSet<(Place, Result<(), Error>)>,
    busy: BTreeMap<Place, usize>,
}

/// Namespace and origin of a receiver.
type Place = (Option<String>, String);

#[derive(Clone, Debug)]
struct Tools {
    client: Client,
    sealer: Arc<Sealer>,
}

/// A due entry.
struct Ready {
    document: Document,
    entry: OutboxEntry,
    url: CallbackUrl,
}

impl Outbox {
    /// Returns an outbox of the registry of `engine`; [`Outbox::run`] starts it.
    pub fn new(engine: Engine, settings: DeliverySettings) -> Self {
        let (under_way, busy) = (JoinSet::new(), BTreeMap::new());
        Self { engine, settings, tools: None, under_way, busy }
    }

    /// Delivers until `stop`. After a failure of the registry it looks again.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        let mut changes = self.engine.store().changes();
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = match self.look().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(error = %error, "the outbox cannot be read");
                    None
                }
            };
            tokio::select! {
                () = &mut stop => break,
                () = self.one_ended() => {}
                () = os::until_due(next) => {}
                () = heard(&mut changes) => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        let ended = async { while self.under_way.join_next().await.is_some() {} };
        drop(tokio::time::timeout(LAST_WORD, ended).await);
        self.under_way.shutdown().await;
    }

    /// Starts tries of due entries as far as there is room, and returns when to look again; `None`
    /// if no entry is due later, or a try has to end first.
    ///
    /// # Errors
    ///
    /// If the registry fails.
    pub async fn look(&mut self) -> Result<Option<Timestamp>, Error> {
        let now = self.engine.now();
        let end = Timestamp::from_millis(i64::MAX);
        let found = self.engine.store().due_documents(DocumentKind::Callback, end, WINDOW).await?;
        let is_full = found.len() >= usize::try_from(WINDOW).unwrap_or(usize::MAX);
        let is_due = |document: &&Document| document.due_at.is_some_and(|at| at <= now);
        let next = found.iter().filter(|document| !is_due(document)).find_map(|it| it.due_at);
        let mut lines: BTreeMap<Place, VecDeque<Ready>> = BTreeMap::new();
        for document in found.into_iter().filter(|document| is_due(&document)) {
            if let Some((place, ready)) = self.ready(document).await? {
                lines.entry(place).or_default().push_back(ready);
            }
        }
        self.begin_in_turn(&mut lines).await?;
        if is_full {
            self.put_off(&lines, now).await?;
        }
        let waits = lines.values().any(|line| !line.is_empty());
        Ok(next.filter(|_| !waits))
    }

    /// Waits until a try ended; forever if there is none.
    pub async fn one_ended(&mut self) {
        let Some(joined) = self.under_way.join_next().await else {
            return std::future::pending().await;
        };
        let Ok((place, settled)) = joined else {
            // A task that panicked does not name its receiver: all counts restart from zero.
            self.busy.clear();
            return;
        };
        if let Some(count) = self.busy.get_mut(&place) {
            *count = count.saturating_sub(1);
        }
        self.busy.retain(|_, count| *count > 0);
        if let Err(error) = settled {
            // The entry is due again when its claim expires.
            tracing::error!(error = %error, "a try to deliver a report cannot be recorded");
        }
    }

    /// Returns true if a try is running.
    pub fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Reads an entry and its receiver; `None` if it cannot be read, or its URL is refused.
    async fn ready(&self, document: Document) -> Result<Option<(Place, Ready)>, Error> {
        let namespace = document.namespace.clone();
        let Ok(entry) = OutboxEntry::read(&document) else {
            tracing::error!(key = document.key, "an entry of the outbox cannot be read");
            return Ok(None);
        };
        if entry.alias.is_some() && self.is_live(&entry).await? {
            let now = self.engine.now();
            let [shortest, longest] = ALIAS_LOOKS;
            let later = now.plus((now.since(entry.at) / ALIAS_AGE_PART).clamp(shortest, longest));
            self.write(&document, &entry, Some(later)).await?;
            return Ok(None);
        }
        match CallbackUrl::parse(&entry.url) {
            Ok(url) => {
                let place = (namespace, url.origin());
                Ok(Some((place, Ready { document, entry, url })))
            }
            Err(refused) => {
                let note = Some(refused.to_string());
                let over = OutboxEntry { state: EntryState::Abandoned, note, ..entry };
                self.write(&document, &over, None).await?;
                count(&self.engine, EntryState::Abandoned);
                Ok(None)
            }
        }
    }

    /// Returns true if the run of an entry is not over.
    async fn is_live(&self, entry: &OutboxEntry) -> Result<bool, Error> {
        let found = self.engine.store().load(&entry.run_id).await?;
        Ok(found.is_some_and(|stored| !stored.run.status.is_terminal()))
    }

    /// Starts one try per receiver, round after round, as long as there is room.
    async fn begin_in_turn(
        &mut self,
        lines: &mut BTreeMap<Place, VecDeque<Ready>>,
    ) -> Result<(), Error> {
        let places: Vec<Place> = lines.keys().cloned().collect();
        let mut targets: BTreeMap<Place, Option<CallbackReceiver>> = BTreeMap::new();
        loop {
            let mut began = false;
            for place in &places {
                let has_room = self.under_way.len() < IN_FLIGHT
                    && self.busy.get(place).is_none_or(|count| *count < IN_FLIGHT_PER_TARGET);
                let Some(line) = lines.get_mut(place).filter(|_| has_room) else { continue };
                let Some(ready) = line.pop_front() else { continue };
                began = true;
                let target = match targets.get(place) {
                    Some(target) => target.clone(),
                    None => {
                        let target = self.receiver(place).await?;
                        targets.insert(place.clone(), target.clone());
                        target
                    }
                };
                if let Some(target) = target {
                    self.begin(place, ready, target).await?;
                }
            }
            if !began {
                return Ok(());
            }
        }
    }

    /// Returns the receiver; `None` if it cannot be read, which must not block others.
    async fn receiver(
        &self,
        (namespace, origin): &Place,
    ) -> Result<Option<CallbackReceiver>, Error> {
        match target::find_or_create(&self.engine, namespace.as_deref(), origin).await {
            Ok((target, _)) => Ok(Some(target)),
            Err(Error::Store(error)) if error.may_pass() => Err(error.into()),
            Err(error) => {
                tracing::error!(receiver = origin, error = %error, "a receiver cannot be read");
                Ok(None)
            }
        }
    }

    /// Claims one entry and tries it, or holds it if its receiver is disabled.
    async fn begin(
        &mut self,
        place: &Place,
        ready: Ready,
        target: CallbackReceiver,
    ) -> Result<(), Error> {
        let Ready { document, mut entry, url } = ready;
        let now = self.engine.now();
        if let Some(disabled) = &target.disabled {
            (entry.state, entry.note) = (EntryState::Held, Some(disabled.why.clone()));
            self.write(&document, &entry, Some(now.plus(HELD_FOR))).await?;
            return Ok(());
        }
        (entry.state, entry.tries) = (EntryState::Waiting, entry.tries.saturating_add(1));
        let delivery = DeliveryAttempt {
            number: entry.tries,
            at: now,
            duration_ms: None,
            status: None,
            error: None,
            response: None,
        };
        let namespace = place.0.as_deref();
        let (expect, until) = (Expect::Revision(document.revision), now.plus(CLAIMED_FOR));
        let claim = entry.write(namespace, expect, Some(until));
        let claimed = vec![claim, delivery.write(namespace, &entry)];
        match self.engine.store().write_documents(claimed).await {
            Ok(()) => {}
            // Another process claimed it.
            Err(errand_store::Error::DocumentChanged { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let attempt = Attempt {
            engine: self.engine.clone(),
            tools: self.tools()?,
            place: place.clone(),
            revision: document.revision.saturating_add(1),
            entry,
            delivery,
            url,
            target,
        };
        *self.busy.entry(place.clone()).or_default() += 1;
        self.under_way.spawn(attempt.carry_out());
        Ok(())
    }

    fn tools(&mut self) -> Result<Tools, Error> {
        if let Some(tools) = &self.tools {
            return Ok(tools.clone());
        }
        let DeliverySettings { addresses, names } = self.settings.clone();
        let client = Client::new(addresses, names).map_err(|reason| PayloadRefused { reason })?;
        let sealer = Arc::new(Sealer::open_or_create(&self.engine.surroundings().identity)?);
        Ok(self.tools.insert(Tools { client, sealer }).clone())
    }

    /// Defers entries of receivers that exceed their part of the window.
    async fn put_off(
        &self,
        lines: &BTreeMap<Place, VecDeque<Ready>>,
        now: Timestamp,
    ) -> Result<(), Error> {
        for ready in lines.values().flat_map(|line| line.iter().skip(WINDOW_PER_TARGET)) {
            self.write(&ready.document, &ready.entry, Some(now.plus(LATER))).await?;
        }
        Ok(())
    }

    /// Writes an entry unless another process changed it.
    async fn write(
        &self,
        document: &Document,
        entry: &OutboxEntry,
        due_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        let expect = Expect::Revision(document.revision);
        let put = entry.write(document.namespace.as_deref(), expect, due_at);
        match self.engine.store().write_documents(vec![put]).await {
            Ok(()) | Err(errand_store::Error::DocumentChanged { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A try of a claimed entry.
struct Attempt {
    engine: Engine,
    tools: Tools,
    place: Place,
    entry: OutboxEntry,
    revision: u64,
    delivery: DeliveryAttempt,
    url: CallbackUrl,
    target: CallbackReceiver,
}

impl Attempt {
    async fn carry_out(self) -> (Place, Result<(), Error>) {
        let place = self.place.clone();
        (place, Box::pin(self.try_once()).await)
    }

    async fn try_once(self) -> Result<(), Error> {
        let Self { engine, tools, place, entry, revision, delivery, url, target } = self;
        let (namespace, origin) = place;
        let answer = match report::report(&engine, namespace.as_deref(), &entry).await? {
            None => {
                // The run was removed, and its reports with it or soon.
                return super::forget(&engine, namespace.as_deref(), &entry.run_id).await;
            }
            Some(ReportBody { bytes: body, bearer }) => match target.secret(&tools.sealer) {
                Ok(secret) => {
                    let timestamp = delivery.at.as_millis().div_euclid(1_000);
                    let message = Message { id: entry.id(), timestamp, body, bearer, secret };
                    tools.client.send(&url, &message).await
                }
                Err(error) => Answer::Failed(format!("the report cannot be signed: {error}")),
            },
        };
        let ended_at = engine.now();
        let tried = FinishedTry { namespace, origin, entry, revision, delivery, answer, ended_at };
        settle(&engine, tried).await
    }
}

/// Returns when a commit may have written a report.
async fn heard(changes: &mut Changes) {
    loop {
        match changes.recv().await {
            Ok(StoreChange::Run { .. } | StoreChange::Elsewhere) | Err(RecvError::Lagged(_)) => {
                return;
            }
            Ok(
                StoreChange::Queued
                | StoreChange::Asked { .. }
                | StoreChange::Turn
                | StoreChange::Inbox { .. },
            ) => {}
            // The store is closed: the next look fails.
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
