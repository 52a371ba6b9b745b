//! Sender of messages.

use std::sync::Arc;

use crate::error::BusError;
use crate::location::{BusCredentials, BusLocation};
use crate::message::BusMessage;
use crate::queue::MessageQueue;
use crate::redis_stream::RedisStream;

/// Sender of messages to a bus. Cheap to clone; connects when the first message is sent.
#[derive(Clone, Debug)]
pub struct BusSender {
    queue: Arc<dyn MessageQueue>,
}

impl BusSender {
    /// Returns a sender to the bus.
    pub fn new(location: &BusLocation, credentials: BusCredentials) -> Self {
        match location {
            BusLocation::Redis { url, stream } => {
                let name = location.to_string();
                let redis = RedisStream::new(name, (url, stream), credentials, String::new());
                Self { queue: Arc::new(redis) }
            }
        }
    }

    /// Sends a message. The bus has it when this returns; it may lose it all the same.
    ///
    /// # Errors
    ///
    /// [`BusError`]; the bus may have the message nevertheless.
    pub async fn send(&self, message: &BusMessage) -> Result<(), BusError> {
        self.queue.publish(message).await
    }
}
