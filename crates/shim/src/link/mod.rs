//! Connections between a Pod and errand, over TCP.
//!
//! A Pod opens each connection with a [`Greeting`], and errand answers with random bytes. Everything
//! after that is sealed with keys that both derive from the key in the Pod's secret: only the Pod of
//! the attempt can open what errand sends, and only errand what the Pod sends. One connection has
//! frames ([`PodFrame`], [`ErrandFrame`]); each connection to the agent API has one of its own, whose
//! records are its bytes, and an empty record its end.

mod frame;
mod greeting;
mod seal;

pub use frame::{ErrandFrame, PodFrame};
pub use greeting::{
    ANSWER_BYTES, GREETING_LIMIT_BYTES, Greeting, Purpose, RANDOM_BYTES, answer, read_answer,
};
pub use seal::{KEY_BYTES, LinkKey, RECORD_LIMIT_BYTES, RecordOpener, RecordSealer};
