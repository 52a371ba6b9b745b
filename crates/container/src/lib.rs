//! The target `container`: agents in containers of Docker or Podman.
//!
//! A container's first process is `errand-shim`, which this crate carries. It gets its order from a
//! pipe, and reports output and end through another, so the environment of an agent is never a part of
//! the container's configuration, and no line is lost to a log of the engine. The engine is asked to
//! create, start, pause and remove containers; it is first connected to when an agent needs it.
//!
//! The target `kubernetes` (`errand-kubernetes`) uses the same pump of reports, folders and programs.
//!
//! Deliberately absent: engines of other machines. The files of a run are shown to its container.

mod adopt;
mod claim;
mod control;
mod create;
mod credentials;
mod engine;
mod image;
mod kept;
mod live;
mod moment;
mod output;
mod report_pipe;
mod shim;
mod start;
mod stop_plan;
mod target;

pub use adopt::{released_progress, start_folder};
pub use claim::{AttemptClaim, AttemptClaims};
pub use credentials::CredentialFiles;
pub use engine::{EngineAddress, reach};
pub use kept::{KeptFolder, OutputProgress, ProgressWriter};
pub use moment::sleep_until;
pub use output::{ContainerEnd, ContainerReported, ReportPump, ReportSource, Started};
pub use report_pipe::{FoundReports, whole_reports};
pub use shim::ContainerPrograms;
pub use start::START_FOLDER;
pub use stop_plan::{KILL, SHIM_LIMIT, StopPlan, StopStep, TERM, code_or_signal};
pub use target::{ContainerSettings, ContainerTarget};
