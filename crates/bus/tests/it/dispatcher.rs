//! A dispatcher of tests: its registry is a map that outlives its consumers, which die at a chosen step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use errand_api::access::KeyText;
use errand_bus::{BusMessage, KnownSender, OrderIntake, OrderKey, OrderOutcome, TaskOrder};
use tokio::sync::watch;

/// Moment of the work on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The message was delivered.
    Delivered,
    /// The sender is known.
    SenderKnown,
    /// The order was read and opened.
    Opened,
    /// The task is durable.
    Durable,
}

impl Step {
    pub(crate) const ALL: [Self; 4] =
        [Self::Delivered, Self::SenderKnown, Self::Opened, Self::Durable];
}

/// Registry of a dispatcher.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// Number of the last order, and of the times that one was carried out, by task.
    tasks: Mutex<BTreeMap<String, (u32, u32)>>,
    /// Step at which the next consumer dies, once.
    dies_at: Mutex<Option<Step>>,
    dead: watch::Sender<bool>,
}

impl Registry {
    pub(crate) fn dies_at(&self, step: Step) {
        *self.dies_at.lock().unwrap() = Some(step);
        self.dead.send_replace(false);
    }

    /// Waits until the consumer has reached the step at which it dies.
    pub(crate) async fn death(&self) {
        let mut dead = self.dead.subscribe();
        dead.wait_for(|&is_dead| is_dead).await.unwrap();
    }

    /// Returns how often each task was carried out.
    pub(crate) fn carried_out(&self) -> BTreeMap<String, u32> {
        let tasks = self.tasks.lock().unwrap();
        tasks.iter().map(|(task_id, (_, times))| (task_id.clone(), *times)).collect()
    }

    /// Waits for ever at the step at which the consumer dies.
    async fn reach(&self, step: Step) {
        let dies = {
            let mut dies_at = self.dies_at.lock().unwrap();
            let dies = *dies_at == Some(step);
            if dies {
                *dies_at = None;
            }
            dies
        };
        if dies {
            self.dead.send_replace(true);
            std::future::pending::<()>().await;
        }
    }
}

/// API key of the sender.
pub(crate) fn key() -> KeyText {
    KeyText::new([3; 8], [4; 32])
}

/// Receiver of orders, on a registry.
#[derive(Debug)]
pub(crate) struct Dispatcher(pub(crate) Arc<Registry>);

#[async_trait]
impl OrderIntake for Dispatcher {
    async fn sender(&self, public: &str) -> Result<Option<KnownSender>, String> {
        self.0.reach(Step::Delivered).await;
        let key = OrderKey::of_api_key(&key());
        Ok((public == self::key().public()).then_some(KnownSender { key, namespace: None }))
    }

    async fn is_known(&self, _: &KnownSender, message: &BusMessage) -> Result<bool, String> {
        self.0.reach(Step::SenderKnown).await;
        let tasks = self.0.tasks.lock().unwrap();
        Ok(tasks.get(&message.task_id).is_some_and(|(order, _)| *order >= message.order))
    }

    async fn take(&self, _: &KnownSender, message: &BusMessage, order: TaskOrder) -> OrderOutcome {
        self.0.reach(Step::Opened).await;
        assert_eq!(order.task.task_id, message.task_id);
        {
            // As the commit of a registry: an order that was taken is not taken again.
            let mut tasks = self.0.tasks.lock().unwrap();
            let (number, times) = tasks.entry(message.task_id.clone()).or_default();
            if *number < message.order {
                *number = message.order;
                *times += 1;
            }
        }
        self.0.reach(Step::Durable).await;
        OrderOutcome::Settled
    }
}
