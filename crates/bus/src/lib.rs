//! The bus between senders of tasks and dispatchers: Redis Streams, or queues of SQS.
//!
//! A [`BusMessage`] has ids and a digest only. The order itself, a [`TaskOrder`], is sealed with the
//! dispatcher's API key and kept under its digest in the place for blobs that both sides have.
//! [`BusSender`] sends messages; [`consume`] reads them and gives each order to an [`OrderIntake`].
//! Nothing is connected before it is needed. Deliberately absent: a state of tasks, which the
//! dispatcher's registry has, and any memory of messages: the bus may repeat, reorder and lose them.

mod consume;
mod error;
mod location;
mod message;
mod order;
mod queue;
mod redis_stream;
mod sender;
mod sqs;

pub use consume::{BusConsumer, ConsumerName, KnownSender, OrderIntake, OrderOutcome, consume};
pub use error::{BusError, BusFault};
pub use location::{BusCredentials, BusLocation};
pub use message::BusMessage;
pub use order::{OrderKey, SealedOrder, TaskOrder, UnsealableOrder};
pub use sender::BusSender;
