//! Messages of a bus.

use errand_model::Digest;
use serde::{Deserialize, Serialize};

/// Version of the form of messages.
const VERSION: u32 = 1;

/// Message that an order waits for a dispatcher: ids and a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusMessage {
    /// Version of this form.
    pub(crate) v: u32,
    /// Id of the task.
    pub task_id: String,
    /// Number of the order among those for this task: a dispatcher takes no order twice, and none
    /// that is older than one it has taken.
    pub order: u32,
    /// Public part of the API key that the order is sealed with.
    pub key: String,
    /// Digest of the sealed order.
    pub digest: Digest,
}

impl BusMessage {
    /// Returns a message of the present form.
    pub const fn new(task_id: String, order: u32, key: String, digest: Digest) -> Self {
        Self { v: VERSION, task_id, order, key, digest }
    }

    /// Returns the text of the message.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses the text of a message.
    ///
    /// # Errors
    ///
    /// The reason, if it is none of a form that this program knows.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let message: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match message.v {
            VERSION => Ok(message),
            other => Err(format!("it has the version {other}, which this program does not know")),
        }
    }
}
