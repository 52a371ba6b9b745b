//! Runs whose steps are other agents' runs: what is to be done, what became of it, what comes next.
//!
//! A coordinator is no process. It is the fold of its journal, and takes a turn whenever it hears
//! something: [`crate::run::Run::turn`] is the one function that decides what follows. This module
//! has the state, the news and the outcome of a turn; `coordinator` has the turn itself.

mod control;
mod fold;
mod ledger;
pub(crate) mod material;
mod reference;
mod state;
mod turn;

pub(crate) use control::Control;
pub use ledger::Ledger;
pub(crate) use ledger::Shared;
pub use reference::Reference;
pub(crate) use state::{ChildHold, CoordinatedMessage, Members};
pub use state::{Coordination, LiveChild};
pub use turn::{
    ChildEnded, ChildOutcome, ChildSaid, CoordinatorNews, CoordinatorTurn, Finish, InputMaterial,
    MessageDelivery, Start, StatedValue,
};

/// Agents that one plan may have.
pub const AGENTS_LIMIT: usize = 256;
/// Children that one coordinator may start.
pub const CHILDREN_LIMIT: u32 = 10_000;
/// Largest depth of nested coordinators.
pub const DEPTH_LIMIT: u32 = 8;
/// Children that one turn starts.
pub const STARTS_PER_TURN: usize = 128;
/// The bound on messages where nothing else is said.
pub const DEFAULT_MAX_MESSAGES: u32 = 100;
/// Largest number of handoffs of a run.
pub const HANDOFF_LIMIT: u32 = 16;
