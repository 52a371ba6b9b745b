//! Sender of messages.

use std::sync::Arc;
use std::time::Duration;

use crate::error::BusError;
use crate::location::{BusCredentials, BusLocation};
use crate::message::BusMessage;
use crate::queue::MessageQueue;
use crate::redis_stream::RedisStream;
use crate::sqs::SqsQueue;

/// Time after which the messages of a silent consumer go to another one. Consumers tell the server
/// three times in it that they work on theirs.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(60);

/// Sender of messages to a bus. Cheap to clone; connects when the first message is sent.
#[derive(Clone, Debug)]
pub struct BusSender {
    queue: Arc<dyn MessageQueue>,
}

impl BusSender {
    /// Returns a sender to the bus.
    pub fn new(location: &BusLocation, credentials: BusCredentials) -> Self {
        Self { queue: queue_at(location, credentials, (String::new(), SILENT_AFTER)) }
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

/// Returns the queue for a consumer of that name, whose messages go to others after that time of
/// silence.
pub(crate) fn queue_at(
    location: &BusLocation,
    credentials: BusCredentials,
    (consumer, silent_after): (String, Duration),
) -> Arc<dyn MessageQueue> {
    let name = location.to_string();
    match location {
        BusLocation::Redis { url, stream } => {
            let (at, named) = ((url.as_str(), stream.as_str()), (consumer, silent_after));
            Arc::new(RedisStream::new(name, at, credentials, named))
        }
        BusLocation::Sqs { host, queue } => {
            Arc::new(SqsQueue::new(name, (host, queue), credentials.aws, silent_after))
        }
    }
}
