//! Place where the agent of an attempt lives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ProcessIdentity;

/// Place where the agent of an attempt lives, by which its target finds it again.
///
/// Its fields are the target's: pid, start time and boot of a process, the id of a container, the
/// names of a pod. A journal keeps the locator of a process in the fields that it always had
/// (`process`), and any other one under `locator`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locator {
    /// Name of the target, such as `process`.
    #[serde(rename = "type")]
    pub target: String,
    /// Fields that the target needs, by name.
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
}

impl Locator {
    /// Name of the target whose agents are processes of their supervisor's machine.
    pub const PROCESS: &'static str = "process";

    /// Returns the locator of a process.
    pub fn of_process(process: &ProcessIdentity) -> Self {
        let fields = [
            ("pid", Value::from(process.pid)),
            ("start_ticks", process.start_ticks.into()),
            ("boot_id", process.boot_id.clone().into()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).into();
        Self { target: Self::PROCESS.to_owned(), fields }
    }

    /// Returns the process that this locates; `None` for any other target.
    pub fn process(&self) -> Option<ProcessIdentity> {
        if self.target != Self::PROCESS {
            return None;
        }
        let pid = self.fields.get("pid")?.as_u64()?;
        Some(ProcessIdentity {
            pid: u32::try_from(pid).ok()?,
            start_ticks: self.fields.get("start_ticks")?.as_u64()?,
            boot_id: self.fields.get("boot_id")?.as_str()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_is_read_as_it_was_written() {
        let process = ProcessIdentity { pid: 7, start_ticks: 9, boot_id: "b".to_owned() };
        let here = Locator::of_process(&process);
        assert_eq!(here.process(), Some(process));
        let text = r#"{"type":"container","engine":"docker","id":"c0ffee"}"#;
        let there: Locator = serde_json::from_str(text).unwrap();
        assert_eq!((there.target.as_str(), there.process()), ("container", None));
        for locator in [here, there] {
            let text = serde_json::to_string(&locator).unwrap();
            assert_eq!(serde_json::from_str::<Locator>(&text).unwrap(), locator);
        }
    }
}
