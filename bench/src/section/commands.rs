//! Start of the program.

use crate::Failure;
use crate::arguments::Arguments;
use crate::floor::median_of;
use crate::lab::Lab;
use crate::report::Line;
use crate::round::{Allowance, against_floor};

/// Repetitions in one round.
const TIMES: usize = 15;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let rounds = (arguments.rounds, lab.folder());
    let version = against_floor("errand --version", Allowance::of(2.0, 0.0), rounds, || {
        median_of(TIMES, || lab.time(&["--version"]).map(drop))
    })?;
    Ok(vec![version])
}
