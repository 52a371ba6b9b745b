//! Documents of the API about everything that the registry holds: one set for the terminal and for
//! HTTP.
//!
//! Access control is deliberately absent: callers pass the namespace whose things they read.

mod bom;
mod brief;
mod callback;
mod dead_letter;
mod error;
mod graph;
mod question;
mod record;
mod session;
mod story;
mod trace;
mod usage;
mod verification;

pub use bom::boms;
pub use brief::brief_page;
pub use callback::{callback, callback_state, callback_target};
pub use dead_letter::{dead_letter, dead_letter_detail, dead_letters};
pub use error::NotCoordinated;
pub use graph::{graph, sent_messages};
pub use question::questions;
pub use record::{answered, listed, manifest, record};
pub use session::{messages, session, session_summary};
pub use story::{comparison, story};
pub use trace::{TraceAsk, trace};
pub use usage::{usage_by_step, usage_sums};
pub use verification::verification;
