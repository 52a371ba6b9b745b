//! Way to the task of an attempt, as the journal and the folder of the attempt keep it.

use std::collections::BTreeMap;
use std::io;

use errand_agent::target::DispatcherRoute;
use errand_bus::BusMessage;
use errand_model::Locator;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name of the target.
pub(crate) const NAME: &str = "dispatcher";

/// Task at a dispatcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskRoute {
    /// The dispatcher.
    #[serde(flatten)]
    pub(crate) dispatcher: DispatcherRoute,
    /// Id of the task.
    pub(crate) task_id: String,
    /// Message that announced it, for a task that was sent by a bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<BusMessage>,
}

impl TaskRoute {
    /// Returns the number of the order that a bus carried.
    pub(crate) fn order(&self) -> Option<u32> {
        self.message.as_ref().map(|message| message.order)
    }

    /// Returns the locator of the task.
    pub(crate) fn locator(&self) -> Locator {
        let value = serde_json::to_value(self).unwrap_or_default();
        let fields: BTreeMap<String, Value> = match value {
            Value::Object(members) => members.into_iter().collect(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => BTreeMap::new(),
        };
        Locator { target: NAME.to_owned(), fields }
    }

    /// Returns the task that a locator names.
    ///
    /// # Errors
    ///
    /// If it names none.
    pub(crate) fn of(locator: &Locator) -> io::Result<Self> {
        if locator.target != NAME {
            return Err(io::Error::other("the locator is not that of a task"));
        }
        let members = Value::Object(locator.fields.clone().into_iter().collect());
        serde_json::from_value(members).map_err(io::Error::other)
    }
}
