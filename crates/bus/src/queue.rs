//! Queue of messages: the seam between the loop of a consumer and the kinds of buses.

use std::fmt;

use async_trait::async_trait;

use crate::error::BusError;
use crate::message::BusMessage;

/// Message as a queue delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Name of this delivery at the queue.
    pub(crate) receipt: String,
    /// The message, or the reason for which it is none.
    pub(crate) message: Result<BusMessage, String>,
    /// Text of the message, for the place of dead messages.
    pub(crate) text: String,
}

/// End of the work on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The message is done with.
    Done {
        /// Name of the delivery.
        receipt: String,
    },
    /// The message cannot be carried out, now or later.
    Dead {
        /// Name of the delivery.
        receipt: String,
        /// Text of the message.
        text: String,
        /// Reason in words.
        reason: String,
    },
}

/// A queue of messages. Every method may be called again after an error.
#[async_trait]
pub(crate) trait MessageQueue: Send + Sync + fmt::Debug {
    /// Appends a message. It is at the bus when this returns.
    async fn publish(&self, message: &BusMessage) -> Result<(), BusError>;

    /// Prepares the queue for [`MessageQueue::receive`], and returns messages that this consumer
    /// received before it was started again.
    async fn begin(&self) -> Result<Vec<Received>, BusError>;

    /// Returns new messages, at most `most`; none if none came for a while. To be called by one
    /// caller. If it is dropped before it returns, messages may wait for their next delivery.
    async fn receive(&self, most: usize) -> Result<Vec<Received>, BusError>;

    /// Returns messages whose consumer died, at most `most`, and removes what the queue need not keep.
    async fn maintain(&self, most: usize) -> Result<Vec<Received>, BusError>;

    /// Tells the queue that messages are being worked on, so that no other consumer gets them.
    async fn extend(&self, receipts: &[String]) -> Result<(), BusError>;

    /// Removes messages from the queue.
    async fn settle(&self, settled: &[Settled]) -> Result<(), BusError>;
}
