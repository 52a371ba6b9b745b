//! Keys of a plan's steps: the name of an agent and the number of its run.

use super::FanOut;

/// The key of a step: the `number`th run, from 1, of that agent.
pub(crate) fn key_of(name: &str, number: u32) -> String {
    format!("{name}#{number}")
}

/// The name and the number in the key of a step.
pub(crate) fn split_key(key: &str) -> (&str, u32) {
    let (name, number) = key.rsplit_once('#').unwrap_or((key, "0"));
    (name, number.parse().unwrap_or(0))
}

impl FanOut {
    /// Returns the number of children.
    pub(crate) fn total(&self, items: Option<u32>) -> u32 {
        match self.partition {
            Some(_) => items.unwrap_or(0),
            None => u32::try_from(self.members.len()).unwrap_or(u32::MAX),
        }
    }

    /// The key of the step at a place, from 0.
    pub(crate) fn key_at(&self, place: u32) -> Option<String> {
        let (name, number) = self.member_at(place)?;
        Some(key_of(name, number))
    }

    /// The member at a place, and the how manieth child of it that is.
    pub(crate) fn member_at(&self, place: u32) -> Option<(&str, u32)> {
        let members = u32::try_from(self.members.len()).ok().filter(|members| *members > 0)?;
        if self.partition.is_none() && place >= members {
            return None;
        }
        let name = self.members.get(usize::try_from(place % members).ok()?)?;
        Some((name, place / members + 1))
    }
}
