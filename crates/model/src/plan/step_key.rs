//! Keys of a plan's steps: the name of an agent and the number of its run.

/// The key of a step: the `number`th run, from 1, of that agent.
pub(crate) fn key_of(name: &str, number: u32) -> String {
    format!("{name}#{number}")
}

/// The name and the number in the key of a step.
pub(crate) fn split_key(key: &str) -> (&str, u32) {
    let (name, number) = key.rsplit_once('#').unwrap_or((key, "0"));
    (name, number.parse().unwrap_or(0))
}
