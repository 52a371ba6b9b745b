//! Bus that a dispatcher takes tasks from.
//!
//! The consumer has a thread and a runtime of its own, and asks the dispatcher's own router.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use errand_api::error_code::ErrorCode;
use errand_blobs::{BlobAddress, PlacedOrders};
use errand_bus::{
    BusConsumer, BusCredentials, BusError, BusLocation, BusMessage, ConsumerName, KnownSender,
    OrderIntake, OrderKey, OrderOutcome, TaskOrder,
};
use errand_engine::Engine;
use errand_engine::tasks::OrderRef;
use errand_gateway::{IntakeAnswer, IntakeOrder, TaskIntake};
use errand_model::Digest;
use tokio::sync::watch;

use crate::context::Context;
use crate::failure::Failure;

/// Variable with the address of the bus.
const BUS: &str = "ERRAND_BUS";
/// Variable with the user of the bus.
const USER: &str = "ERRAND_BUS_USER";
/// Variable with the user's password.
const PASSWORD: &str = "ERRAND_BUS_PASSWORD";
/// Digits of the digest that tells registries of one machine apart.
const NAME_DIGITS: usize = 12;

/// Bus that a dispatcher is to take tasks from.
#[derive(Debug)]
pub(super) struct BusPlan {
    location: BusLocation,
    credentials: BusCredentials,
}

/// The thread of a consumer.
#[derive(Debug)]
pub(super) struct BusThread {
    ending: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// The dispatcher as the receiver of orders.
#[derive(Debug)]
struct Dispatcher {
    intake: TaskIntake,
}

impl BusPlan {
    /// Returns the bus that a command or the environment names; `None` if neither does.
    pub(super) fn of(context: &Context, typed: Option<&str>) -> Result<Option<Self>, Failure> {
        let text = |name: &str| context.variable(name).and_then(OsStr::to_str).map(str::to_owned);
        let Some(address) = typed.map(str::to_owned).or_else(|| text(BUS)) else {
            return Ok(None);
        };
        let location = BusLocation::parse(&address).map_err(|error| {
            failure(&error).hint(
                "write --bus redis://host:6379, rediss:// for TLS, or sqs://host/account/queue",
            )
        })?;
        let credentials = BusCredentials {
            user: text(USER),
            password: text(PASSWORD),
            ..BusCredentials::of(&context.environment)
        };
        Ok(Some(Self { location, credentials }))
    }

    /// Returns the consumer, after a look at the bus: a dispatcher that cannot read it does not start.
    pub(super) async fn ready(
        self,
        context: &Context,
        engine: &Engine,
        is_locked: bool,
    ) -> Result<BusConsumer, Failure> {
        if !is_locked {
            let message = "a dispatcher on a bus needs an API key, which orders are sealed with";
            return Err(Failure::new(ErrorCode::KeyMissing, message).hint(
                "`errand keys create --name gateway --scope runs:read,runs:write` makes one",
            ));
        }
        let Some(record) = engine.store().blob_place()? else {
            let message = "a dispatcher on a bus needs a place for orders that the sender has, too";
            return Err(Failure::new(ErrorCode::BusBlobsMissing, message)
                .hint("add --blobs s3://bucket/prefix or --blobs DIR"));
        };
        let place = BlobAddress::parse(&record.place, Path::new("/"))
            .map_err(|error| Failure::new(ErrorCode::BlobsAddressInvalid, error.to_string()))?;
        let root = engine.registry().root().display().to_string();
        let digits = Digest::of(root.as_bytes()).hex()[..NAME_DIGITS].to_owned();
        let name = ConsumerName(format!("{}-{digits}", errand_agent::os::host_name()));
        let orders = PlacedOrders::new(place, &context.environment);
        let consumer = BusConsumer::new(&self.location, self.credentials, name, orders);
        consumer.check().await.map_err(|error| failure(&error))?;
        Ok(consumer)
    }
}

fn failure(error: &BusError) -> Failure {
    Failure::new(error.code(), error.to_string())
}

impl BusThread {
    /// Starts to take tasks from the bus.
    pub(super) fn start(consumer: BusConsumer, intake: TaskIntake) -> Result<Self, Failure> {
        let (ending, is_ending) = watch::channel(false);
        let failed =
            |error: &std::io::Error| Failure::internal("cannot start the thread of the bus", error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let intake = Arc::new(Dispatcher { intake });
        let work = move || runtime.block_on(errand_bus::consume(consumer, intake, is_ending));
        let thread = std::thread::Builder::new().name("bus".to_owned()).spawn(work);
        Ok(Self { ending, thread: thread.map_err(|error| failed(&error))? })
    }

    /// Ends the consumer: tasks that are not durable stay at the bus.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.ending.send_replace(true);
        let panicked = |_| Failure::new(ErrorCode::Internal, "the thread of the bus panicked");
        self.thread.join().map_err(panicked)
    }
}

impl Dispatcher {
    fn at<'a>(sender: &'a KnownSender, message: &'a BusMessage) -> OrderRef<'a> {
        let BusMessage { task_id, order, .. } = message;
        OrderRef { namespace: sender.namespace.as_deref(), task_id, order: *order }
    }
}

#[async_trait]
impl OrderIntake for Dispatcher {
    async fn sender(&self, public: &str) -> Result<Option<KnownSender>, String> {
        let found = self.intake.key(public).await?;
        Ok(found.map(|hash| KnownSender {
            key: OrderKey::of_hash(&hash.secret_sha256),
            namespace: hash.namespace,
        }))
    }

    async fn is_known(&self, sender: &KnownSender, message: &BusMessage) -> Result<bool, String> {
        self.intake.is_known(Self::at(sender, message)).await
    }

    async fn take(
        &self,
        sender: &KnownSender,
        message: &BusMessage,
        order: TaskOrder,
    ) -> OrderOutcome {
        let TaskOrder { api_key, brief, task } = order;
        let at = Self::at(sender, message);
        let order = IntakeOrder { at, api_key: &api_key, brief, task: &task };
        match self.intake.take(order).await {
            IntakeAnswer::Settled => OrderOutcome::Settled,
            IntakeAnswer::Later(reason) => OrderOutcome::Later(reason),
        }
    }
}
