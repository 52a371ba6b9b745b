//! Suite that every kind of bus passes: whatever it repeats, reorders, delays or loses, and wherever a
//! consumer dies, each task is carried out once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use errand_blobs::{BlobAddress, PlacedOrders};
use errand_bus::{
    BusConsumer, BusCredentials, BusLocation, BusMessage, BusSender, ConsumerName, TaskOrder,
    consume,
};
use errand_testkit::LIMIT;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::dispatcher::{Dispatcher, Registry, Step, key};

/// Time after which messages of a dead consumer go to another one.
const SILENT_AFTER: Duration = Duration::from_millis(300);

/// Waits until a condition holds, with a time limit.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(LIMIT, holds).await;
    assert!(waited.is_ok(), "waited {LIMIT:?} in vain until {what}");
}

/// A kind of bus, with a server of its own.
pub(crate) trait Bus {
    /// Returns the place of the queue.
    fn location(&self) -> BusLocation;

    /// Returns the credentials for it.
    fn credentials(&self) -> BusCredentials {
        BusCredentials::default()
    }

    /// Returns the number of messages that are not done with.
    fn waiting(&self) -> u64;

    /// Loses all messages.
    fn lose(&mut self);

    /// Ends the server, and starts it again.
    fn restart(&mut self);
}

/// Sender, bus, place for orders, and the registry of a dispatcher.
pub(crate) struct World<B> {
    pub(crate) bus: B,
    place: tempfile::TempDir,
    pub(crate) registry: Arc<Registry>,
}

/// Running consumer.
pub(crate) struct Running {
    tasks: JoinSet<()>,
    ending: watch::Sender<bool>,
}

impl Running {
    /// Ends it as a killed process ends: nothing is said to the bus.
    pub(crate) async fn kill(mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) async fn end(mut self) {
        self.ending.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

impl<B: Bus> World<B> {
    pub(crate) fn new(bus: B) -> Self {
        let place = tempfile::tempdir().unwrap();
        Self { bus, place, registry: Arc::default() }
    }

    fn orders(&self) -> PlacedOrders {
        let address = BlobAddress::parse(self.place.path().to_str().unwrap(), Path::new("/"));
        PlacedOrders::new(address.unwrap(), &BTreeMap::new())
    }

    /// Starts a consumer of that name.
    pub(crate) fn consumer(&self, name: &str) -> Running {
        let named = (ConsumerName(name.to_owned()), SILENT_AFTER);
        let (location, orders) = (self.bus.location(), self.orders());
        let credentials = self.bus.credentials();
        let consumer = BusConsumer::taking_over_after(&location, credentials, named, orders);
        let (ending, is_ending) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let intake = Arc::new(Dispatcher(Arc::clone(&self.registry)));
        tasks.spawn(consume(consumer, intake, is_ending));
        Running { tasks, ending }
    }

    /// Stores an order and returns its message.
    pub(crate) async fn order(&self, task_id: &str, number: u32) -> BusMessage {
        let task = serde_json::json!({ "task_id": task_id, "agent_image": "i" });
        let task = serde_json::from_value(task).unwrap();
        let order = TaskOrder { api_key: key().reveal(), brief: None, task };
        let sealed = order.seal(number).unwrap();
        self.orders().put(&sealed.message.digest, sealed.bytes).await.unwrap();
        sealed.message
    }

    pub(crate) async fn send(&self, message: &BusMessage) {
        let sender = BusSender::new(&self.bus.location(), self.bus.credentials());
        sender.send(message).await.unwrap();
    }

    /// Waits until the task was carried out, and its message is done with.
    pub(crate) async fn carried_out(&self, task_ids: &[&str]) {
        until("the tasks are carried out", async || {
            let done = self.registry.carried_out();
            task_ids.iter().all(|&task_id| done.contains_key(task_id))
        })
        .await;
        until("all messages are done with", async || self.bus.waiting() == 0).await;
        let expected = task_ids.iter().map(|&task_id| (task_id.to_owned(), 1));
        assert_eq!(self.registry.carried_out(), expected.collect());
    }
}

/// Kills the consumer at every step, and starts it again, or another one.
pub(crate) async fn a_task_is_carried_out_once_wherever_its_consumer_dies(bus: impl Bus) {
    let world = World::new(bus);
    let mut sent = Vec::new();
    for next in ["first", "other"] {
        for step in Step::ALL {
            let task_id = format!("{next}-{step:?}");
            world.registry.dies_at(step);
            let running = world.consumer("first");
            world.send(&world.order(&task_id, 1).await).await;
            world.registry.death().await;
            running.kill().await;
            let running = world.consumer(next);
            sent.push(task_id);
            let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
            world.carried_out(&sent).await;
            running.end().await;
        }
    }
}

/// Sends messages twice, before and after they were taken, and older orders after younger ones.
pub(crate) async fn messages_that_come_twice_or_late_change_nothing(bus: impl Bus) {
    let world = World::new(bus);
    let (first, second) = (world.order("a", 1).await, world.order("a", 2).await);
    let other = world.order("b", 7).await;
    for message in [&second, &other, &second, &other] {
        world.send(message).await;
    }
    let running = world.consumer("one");
    let also = world.consumer("two");
    world.carried_out(&["a", "b"]).await;
    for message in [&first, &second, &other] {
        world.send(message).await;
    }
    world.send(&world.order("c", 1).await).await;
    world.carried_out(&["a", "b", "c"]).await;
    running.end().await;
    also.end().await;
}

/// Loses a message, with the queue, and sends it again, as a sender does that finds no task.
pub(crate) async fn a_lost_message_is_carried_out_when_it_is_sent_again(mut bus: impl Bus) {
    bus.restart();
    let mut world = World::new(bus);
    let message = world.order("lost", 1).await;
    world.send(&message).await;
    world.bus.lose();
    let running = world.consumer("one");
    world.send(&world.order("before", 1).await).await;
    world.carried_out(&["before"]).await;
    world.bus.lose();
    world.send(&message).await;
    world.carried_out(&["before", "lost"]).await;
    world.bus.restart();
    until("the bus takes messages again", async || {
        let sender = BusSender::new(&world.bus.location(), world.bus.credentials());
        sender.send(&message).await.is_ok()
    })
    .await;
    world.send(&world.order("after", 1).await).await;
    world.carried_out(&["after", "before", "lost"]).await;
    running.end().await;
}

/// Ends a consumer while many messages wait: none is lost, none is taken twice.
pub(crate) async fn a_consumer_that_ends_leaves_the_rest_to_the_next_one(bus: impl Bus) {
    let world = World::new(bus);
    let task_ids: Vec<String> = (0..40).map(|number| format!("t-{number:02}")).collect();
    for task_id in &task_ids {
        world.send(&world.order(task_id, 1).await).await;
    }
    let task_ids: Vec<&str> = task_ids.iter().map(String::as_str).collect();
    let running = world.consumer("one");
    until("a task is carried out", async || !world.registry.carried_out().is_empty()).await;
    running.end().await;
    let running = world.consumer("two");
    world.carried_out(&task_ids).await;
    running.end().await;
}
