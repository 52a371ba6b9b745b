//! Loop of a consumer: messages become tasks, and are acknowledged once their task is durable.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use errand_blobs::PlacedOrders;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::error::{BusError, BusFault};
use crate::location::{BusCredentials, BusLocation};
use crate::message::BusMessage;
use crate::order::{OrderKey, TaskOrder};
use crate::queue::{MessageQueue, Received, Settled};
use crate::sender::{SILENT_AFTER, queue_at};

/// Messages that are worked on at a time: their tasks are made durable in common commits.
const AT_ONCE: usize = 256;
/// Pause before another try of something that failed, at first; it doubles each time.
const AGAIN: Duration = Duration::from_millis(100);
/// Longest such pause.
const LONGEST_AGAIN: Duration = Duration::from_secs(5);
/// Time between two looks for messages of dead consumers.
const MAINTAIN_EVERY: Duration = Duration::from_secs(10);
/// Time between two looks for old orders.
const SWEEP_EVERY: Duration = Duration::from_hours(24);
/// Age of an order that no dispatcher took: no bus keeps a message for more than 14 days.
const ORDER_AGE: Duration = Duration::from_hours(15 * 24);
/// Time for messages that are being worked on when the consumer is to end.
const FINISH_LIMIT: Duration = Duration::from_secs(5);

/// Result of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderOutcome {
    /// The task is durable, or its refusal is, which its sender reads.
    Settled,
    /// The order cannot be carried out now, for that reason.
    Later(String),
}

/// Sender of orders, as the dispatcher knows it by its API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSender {
    /// Key of its orders.
    pub key: OrderKey,
    /// Namespace that its API key gives access to; `None`: the default one.
    pub namespace: Option<String>,
}

/// Receiver of orders: the dispatcher.
#[async_trait]
pub trait OrderIntake: Send + Sync + fmt::Debug {
    /// Returns the sender with an API key; `None` if there is no such key, or it has expired.
    ///
    /// # Errors
    ///
    /// The reason, if keys cannot be looked up now.
    async fn sender(&self, public: &str) -> Result<Option<KnownSender>, String>;

    /// Returns true if the order of a message, or a later one for its task, was taken or refused.
    ///
    /// # Errors
    ///
    /// The reason, if it cannot be found out now.
    async fn is_known(&self, sender: &KnownSender, message: &BusMessage) -> Result<bool, String>;

    /// Makes a task of an order, or refuses it.
    async fn take(
        &self,
        sender: &KnownSender,
        message: &BusMessage,
        order: TaskOrder,
    ) -> OrderOutcome;
}

/// Name of a consumer in its group: the same after a restart, so that it gets its messages back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerName(pub String);

/// Consumer of a bus. Connects when it is first used.
#[derive(Clone, Debug)]
pub struct BusConsumer {
    name: String,
    queue: Arc<dyn MessageQueue>,
    orders: Arc<PlacedOrders>,
    maintain_every: Duration,
}

impl BusConsumer {
    /// Returns a consumer of messages whose orders are in that place.
    pub fn new(
        location: &BusLocation,
        credentials: BusCredentials,
        name: ConsumerName,
        orders: PlacedOrders,
    ) -> Self {
        Self::taking_over_after(location, credentials, (name, SILENT_AFTER), orders)
    }

    /// Returns a consumer that takes messages over from others that were silent for that time.
    pub fn taking_over_after(
        location: &BusLocation,
        credentials: BusCredentials,
        (consumer, silent_after): (ConsumerName, Duration),
        orders: PlacedOrders,
    ) -> Self {
        let queue = queue_at(location, credentials, (consumer.0, silent_after));
        let maintain_every = MAINTAIN_EVERY.min(silent_after / 2);
        Self { name: location.to_string(), queue, orders: Arc::new(orders), maintain_every }
    }

    /// Asks whether the bus can be read, and makes the group of its consumers. Messages that this
    /// consumer had before it was started again stay with it.
    ///
    /// # Errors
    ///
    /// [`BusError`].
    pub async fn check(&self) -> Result<(), BusError> {
        self.queue.begin().await.map(drop)
    }
}

/// Work that the tasks of a consumer share.
#[derive(Debug)]
struct Work {
    consumer: BusConsumer,
    intake: Arc<dyn OrderIntake>,
    free: Arc<Semaphore>,
    /// Deliveries that are being worked on.
    at_work: Mutex<BTreeSet<String>>,
    settled: mpsc::Sender<Settled>,
    ending: watch::Receiver<bool>,
}

/// Reads messages, and gives their orders to the intake, until `ending` says true. An order that
/// cannot be taken now is tried again without end, and its message stays at the bus meanwhile.
pub async fn consume(
    consumer: BusConsumer,
    intake: Arc<dyn OrderIntake>,
    ending: watch::Receiver<bool>,
) {
    let (settled, to_settle) = mpsc::channel(AT_ONCE);
    let free = Arc::new(Semaphore::new(AT_ONCE));
    let at_work = Mutex::default();
    let queue = Arc::clone(&consumer.queue);
    let mut settler = JoinSet::new();
    settler.spawn(settle(queue, to_settle));
    let work = Arc::new(Work { consumer, intake, free, at_work, settled, ending });
    let mut running = JoinSet::new();
    let mut keeper = JoinSet::new();
    keeper.spawn(keep(Arc::clone(&work)));
    read(&work, &mut running).await;
    let gives_up_at = Instant::now() + FINISH_LIMIT;
    // What does not finish stays at the bus, and is delivered again.
    while let Ok(Some(_)) = timeout_at(gives_up_at, running.join_next()).await {}
    running.shutdown().await;
    keeper.shutdown().await;
    drop(work);
    drop(timeout_at(gives_up_at + FINISH_LIMIT, settler.join_next()).await);
}

/// Reads messages until the consumer is to end.
async fn read(work: &Arc<Work>, running: &mut JoinSet<()>) {
    let queue = &work.consumer.queue;
    let mut trouble = Trouble::default();
    let mut is_begun = false;
    let mut maintained_at = Instant::now();
    while !work.is_ending() {
        while running.try_join_next().is_some() {}
        let Ok(first) = Arc::clone(&work.free).acquire_owned().await else { return };
        let most = work.free.available_permits() + 1;
        drop(first);
        let next = async {
            if !is_begun {
                queue.begin().await
            } else if maintained_at.elapsed() >= work.consumer.maintain_every {
                maintained_at = Instant::now();
                queue.maintain(most).await
            } else {
                queue.receive(most).await
            }
        };
        // Messages of a read that is given up wait at the bus for their next delivery.
        let found = tokio::select! {
            found = next => found,
            () = work.ended() => return,
        };
        match found {
            Ok(found) => {
                is_begun = true;
                trouble.passed(&work.consumer.name);
                for received in found {
                    work.start(received, running).await;
                }
            }
            Err(error) => {
                is_begun &= error.fault != BusFault::QueueMissing;
                trouble.wait(work, &error).await;
            }
        }
    }
}

/// Trouble with the bus: reported once, and waited for.
#[derive(Debug, Default)]
struct Trouble {
    pause: Option<Duration>,
}

impl Trouble {
    fn passed(&mut self, bus: &str) {
        if self.pause.take().is_some() {
            info!(bus, "the bus answers again");
        }
    }

    async fn wait(&mut self, work: &Work, error: &BusError) {
        if self.pause.is_none() {
            warn!(code = %error.code(), %error, "messages cannot be read; it is tried again");
        }
        let pause = self.pause.map_or(AGAIN, |pause| (pause * 2).min(LONGEST_AGAIN));
        self.pause = Some(pause);
        work.pause(pause).await;
    }
}

impl Work {
    fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// Completes when the consumer is to end.
    async fn ended(&self) {
        // Without a sender, it is to end as well.
        drop(self.ending.clone().wait_for(|is_ending| *is_ending).await);
    }

    /// Waits, or until the consumer is to end.
    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.ended() => {}
        }
    }

    fn deliveries(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the work on a message, unless it is under way.
    async fn start(self: &Arc<Self>, received: Received, running: &mut JoinSet<()>) {
        if !self.deliveries().insert(received.receipt.clone()) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.free).acquire_owned().await else { return };
        let work = Arc::clone(self);
        running.spawn(async move {
            let receipt = received.receipt.clone();
            if let Some(settled) = work.carry_out(received).await {
                drop(work.settled.send(settled).await);
            }
            work.deliveries().remove(&receipt);
            drop(permit);
        });
    }

    /// Carries a message out. `None`: the consumer is to end first.
    async fn carry_out(&self, received: Received) -> Option<Settled> {
        let Received { receipt, message, text } = received;
        let dead = |receipt, reason: String| {
            warn!(bus = %self.consumer.name, %reason, "a message is not carried out");
            Some(Settled::Dead { receipt, text, reason })
        };
        let message = match message {
            Ok(message) => message,
            Err(reason) => return dead(receipt, format!("it is no message of errand: {reason}")),
        };
        let mut pause = AGAIN;
        loop {
            match self.once(&message).await {
                Ok(None) => {
                    // What stays is removed when it is old.
                    if let Err(error) = self.consumer.orders.remove(&message.digest).await {
                        info!(%error, "an order that was taken is left");
                    }
                    return Some(Settled::Done { receipt });
                }
                Ok(Some(reason)) => return dead(receipt, reason),
                Err(reason) => {
                    warn!(task_id = %message.task_id, %reason, "an order has to wait");
                    self.pause(pause).await;
                    pause = (pause * 2).min(LONGEST_AGAIN);
                }
            }
            if self.is_ending() {
                return None;
            }
        }
    }

    /// Tries to carry a message out. `None`: it is; a text: it never will be, for that reason.
    ///
    /// # Errors
    ///
    /// The reason for which it cannot be carried out now.
    async fn once(&self, message: &BusMessage) -> Result<Option<String>, String> {
        let Some(sender) = self.intake.sender(&message.key).await? else {
            return Ok(Some(format!("this dispatcher has no API key {}", message.key)));
        };
        if self.intake.is_known(&sender, message).await? {
            return Ok(None);
        }
        let orders = &self.consumer.orders;
        let found = orders.get(&message.digest).await.map_err(|error| error.to_string())?;
        let Some(bytes) = found else {
            // Another consumer may have taken and removed it just now.
            if self.intake.is_known(&sender, message).await? {
                return Ok(None);
            }
            return Ok(Some(format!("its order {} is not in {}", message.digest, orders.place())));
        };
        let order = match sender.key.open(message, &bytes) {
            Ok(order) => order,
            Err(error) => return Ok(Some(error.to_string())),
        };
        match self.intake.take(&sender, message, order).await {
            OrderOutcome::Settled => Ok(None),
            OrderOutcome::Later(reason) => Err(reason),
        }
    }
}

/// Removes messages that are done with from the bus, many at a time.
async fn settle(queue: Arc<dyn MessageQueue>, mut settled: mpsc::Receiver<Settled>) {
    let mut waiting = Vec::with_capacity(AT_ONCE);
    while settled.recv_many(&mut waiting, AT_ONCE).await > 0 {
        if let Err(error) = queue.settle(&waiting).await {
            // They are delivered again, found to be known, and acknowledged then.
            info!(%error, "messages are not acknowledged");
        }
        waiting.clear();
    }
}

/// Tells the bus from time to time which messages are worked on, and removes old orders.
async fn keep(work: Arc<Work>) {
    let mut swept_at: Option<Instant> = None;
    loop {
        if swept_at.is_none_or(|at| at.elapsed() >= SWEEP_EVERY) {
            swept_at = Some(Instant::now());
            if let Err(error) = work.consumer.orders.remove_older(ORDER_AGE).await {
                info!(%error, "old orders are left");
            }
        }
        sleep(work.consumer.maintain_every).await;
        let receipts: Vec<String> = work.deliveries().iter().cloned().collect();
        if !receipts.is_empty()
            && let Err(error) = work.consumer.queue.extend(&receipts).await
        {
            info!(%error, "messages may be delivered to another consumer");
        }
    }
}
