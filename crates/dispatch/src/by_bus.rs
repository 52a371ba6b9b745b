//! Way of a task by a bus: its order, sealed, in the place for orders, and a message with its digest.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use errand_agent::target::{BusRoute, DispatchOrder};
use errand_api::error_code::ErrorCode;
use errand_blobs::{BlobAddress, PlacedOrders};
use errand_bus::{BusCredentials, BusLocation, BusMessage, BusSender, SealedOrder, TaskOrder};
use errand_store::Error as StoreError;
use tokio::time::Instant;

use crate::client::{ApiKey, DispatchError, DispatcherClient};

/// Longest time for a dispatcher to take a task before its message is sent again.
const LONGEST_TAKEN_WITHIN: Duration = Duration::from_mins(10);
/// Time after which a task that no dispatcher took is withdrawn.
const UNTAKEN_LIMIT: Duration = Duration::from_mins(30);
/// Pause between two looks for the task, at first; it doubles each time.
const LOOK: Duration = Duration::from_millis(50);
/// Longest such pause.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// Way to a dispatcher by a bus.
#[derive(Debug)]
pub(crate) struct BusWire {
    name: String,
    sender: BusSender,
    orders: PlacedOrders,
}

/// Returns the sealed order of a task.
///
/// # Errors
///
/// [`DispatchError::Bus`] if the dispatcher has no key to seal it with.
pub(crate) fn seal(
    client: &DispatcherClient,
    order: &DispatchOrder,
) -> Result<SealedOrder, DispatchError> {
    let (name, key) = client.credentials();
    let failed = |reason: String| DispatchError::Bus {
        name: name.to_owned(),
        code: ErrorCode::BusAccessDenied,
        reason,
    };
    let key = key.ok_or_else(|| failed("an order on a bus is sealed with its key".to_owned()))?;
    let brief = String::from_utf8(order.brief.clone());
    let brief = brief.map_err(|_| failed("the brief of the task is no text".to_owned()))?;
    let brief = order.task.brief_key.is_some().then_some(brief);
    let unsealed = TaskOrder { api_key: key.to_owned(), brief, task: order.task.clone() };
    unsealed.seal(order.number).map_err(|error| failed(error.to_string()))
}

impl BusWire {
    /// Returns the way by a bus. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`DispatchError::Bus`] if the bus or the place for orders cannot be meant.
    pub(crate) fn open(
        name: &str,
        bus: &BusRoute,
        password: Option<ApiKey>,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Result<Self, DispatchError> {
        let failed = |code, reason| DispatchError::Bus { name: name.to_owned(), code, reason };
        let location = BusLocation::of(&bus.address)
            .map_err(|error| failed(error.code(), error.to_string()))?;
        let Some(place) = &bus.place else {
            let reason = "a task by a bus needs a place for its order that the dispatcher has, too: \
                          --blobs s3://bucket/prefix or --blobs DIR";
            return Err(failed(ErrorCode::BusBlobsMissing, reason.to_owned()));
        };
        let place = BlobAddress::parse(place, Path::new("/"))
            .map_err(|error| failed(ErrorCode::BlobsAddressInvalid, error.to_string()))?;
        let credentials = BusCredentials {
            user: bus.address.user.clone(),
            password: password.map(|ApiKey(text)| text),
            ..BusCredentials::of(environment)
        };
        let sender = BusSender::new(&location, credentials);
        Ok(Self { name: name.to_owned(), sender, orders: PlacedOrders::new(place, environment) })
    }

    /// Stores a sealed order.
    pub(crate) async fn put(
        &self,
        order: Vec<u8>,
        message: &BusMessage,
    ) -> Result<(), DispatchError> {
        let put = self.orders.put(&message.digest, order).await;
        put.map_err(|error| {
            let (name, reason) = (self.name.clone(), error.to_string());
            if let StoreError::BlobPlace { fault, .. } = &error
                && !error.may_pass()
            {
                return DispatchError::Bus { name, code: fault.code(), reason };
            }
            DispatchError::Unreachable { name, reason }
        })
    }

    /// Sends a message.
    pub(crate) async fn send(&self, message: &BusMessage) -> Result<(), DispatchError> {
        self.sender.send(message).await.map_err(|error| DispatchError::Bus {
            name: self.name.clone(),
            code: error.code(),
            reason: error.to_string(),
        })
    }

    /// Removes an order that is not needed any more. One that cannot be removed is left: it is sealed.
    pub(crate) async fn remove(&self, message: &BusMessage) {
        if let Err(error) = self.orders.remove(&message.digest).await {
            tracing::debug!(%error, "an order is left");
        }
    }
}

/// Wait for a dispatcher to take a task.
#[derive(Debug)]
pub(crate) struct Untaken {
    since: Instant,
    sent_at: Instant,
    within: Duration,
    look: Duration,
}

impl Untaken {
    /// Returns the wait for a task whose message was just sent. After `within`, it is to be sent again:
    /// it may be lost, or wait behind others, and a second one changes nothing. The time doubles then.
    pub(crate) fn new(within: Duration) -> Self {
        let now = Instant::now();
        Self { since: now, sent_at: now, within, look: LOOK }
    }

    /// Returns true if the message should be sent again, which counts as done then.
    pub(crate) fn is_late(&mut self) -> bool {
        if self.sent_at.elapsed() < self.within {
            return false;
        }
        self.sent_at = Instant::now();
        self.within = (self.within * 2).min(LONGEST_TAKEN_WITHIN);
        true
    }

    /// Returns true if no dispatcher takes the task.
    pub(crate) fn is_over(&self) -> bool {
        self.since.elapsed() >= UNTAKEN_LIMIT
    }

    /// Returns the pause before the next look.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.look;
        self.look = (pause * 2).min(LONGEST_LOOK);
        pause
    }
}
