//! A second target and a second harness: scripted ones, which prove that the seams are seams.

mod agent;
mod harness;
mod target;

pub use harness::ScriptedHarness;
pub use target::ScriptedTarget;
