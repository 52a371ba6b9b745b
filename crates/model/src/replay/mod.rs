//! A recorded run, as a strict replay meets it again: what is served, and what is compared.
//!
//! Pure: whoever replays brings each thing that the agent does, with the replay's own id replaced by
//! the recorded run's, and is told what to answer or how it differs.
//!
//! Deliberately absent: the order of steps and of events of different types, which agents that work
//! in parallel do not keep; and time.

mod divergence;
mod end;
mod excerpt;
mod people;
mod record;
mod session;
mod text_track;
mod track;

pub use divergence::Divergence;
pub use end::{End, NotReplayable};
pub use excerpt::excerpt;
pub use people::PeopleRecord;
pub use record::{Record, Served, Within};
pub use session::SessionRecord;
