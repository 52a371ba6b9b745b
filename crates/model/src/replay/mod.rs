//! A recorded run as a strict replay serves and compares it.
//!
//! Pure: the engine passes each action of the agent, with the replay's own id replaced by the
//! recorded run's, and gets the answer or the difference.
//!
//! Deliberately absent: the order of steps and of events of different types, which parallel agents
//! do not preserve; and time.

mod divergence;
mod end;
mod excerpt;
mod people;
mod record;
mod request_difference;
mod session;
mod text_track;
mod track;

pub use divergence::Divergence;
pub use end::{NotReplayable, RecordedEnd};
pub use excerpt::excerpt;
pub use people::PeopleRecord;
pub use record::{RecordedRun, Served, StepContents};
pub use request_difference::{ComparedRequest, RequestDifference};
pub use session::SessionRecord;
