//! Protocol between errand and `errand-shim`, the first process of a container.
//!
//! Both share a control folder with a few files and pipes (see [`mod@file`]). Errand writes [`Order`]s to
//! one pipe; the shim writes [`Report`]s to another. All of it is bytes with lengths, so that the shim
//! needs no parser of a larger format.
//!
//! In a Pod there is no such folder: orders and reports go through a sealed connection ([`mod@link`]).

pub mod file;
mod file_piece;
pub mod link;
pub mod model_door;
mod order;
mod report;
mod wire;

pub use file_piece::{FilePiece, PIECE_BYTES};
pub use order::{CommandStreams, LaunchOrder, Order};
pub use report::{CommandEnd, REPORT_BYTES, Report, ReportReader, StartProblem};
pub use wire::Malformed;
