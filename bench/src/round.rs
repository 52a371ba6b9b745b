//! Rounds of a floor and a measurement.

use std::path::Path;
use std::time::Duration;

use crate::Failure;
use crate::floor::Floor;
use crate::report::{Line, median, milliseconds};

/// Allowance of a target, in units of the floor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Multiple of the time to spawn `/bin/true`.
    pub(crate) spawns: f64,
    /// Multiple of the time of a durable append.
    pub(crate) fsyncs: f64,
    /// Additional seconds.
    pub(crate) seconds: f64,
}

impl Allowance {
    pub(crate) fn of(spawns: f64, fsyncs: f64) -> Self {
        Self { spawns, fsyncs, seconds: 0.0 }
    }

    fn describe(self) -> String {
        let mut parts = Vec::new();
        if self.spawns > 0.0 {
            parts.push(format!("{} spawns", self.spawns));
        }
        if self.fsyncs > 0.0 {
            parts.push(format!("{} fsyncs", self.fsyncs));
        }
        if self.seconds > 0.0 {
            parts.push(format!("{} ms", self.seconds * 1e3));
        }
        parts.join(" + ")
    }
}

/// Measures the floor and then `work`, for so many rounds. Returns the line of the report.
///
/// `work` returns the measured time, without its preparations.
pub(crate) fn against_floor(
    name: &'static str,
    allowance: Allowance,
    rounds: (u32, &Path),
    mut work: impl FnMut() -> Result<Duration, Failure>,
) -> Result<Line, Failure> {
    let (count, folder) = rounds;
    let mut ratios = Vec::new();
    let mut taken = Vec::new();
    let mut floors = Vec::new();
    for _ in 0..count {
        let floor = Floor::look(folder)?;
        let time = work()?.as_secs_f64();
        let allowed = floor.allow(allowance.spawns, allowance.fsyncs) + allowance.seconds;
        ratios.push(time / allowed);
        taken.push(time);
        floors.push(floor);
    }
    let spawn = median(floors.iter().map(|floor| floor.spawn.as_secs_f64()).collect());
    let fsync = median(floors.iter().map(|floor| floor.fsync.as_secs_f64()).collect());
    Ok(Line {
        name: name.to_owned(),
        measured: milliseconds(median(taken)),
        target: allowance.describe(),
        floor: format!("spawn {}, fsync {}", milliseconds(spawn), milliseconds(fsync)),
        share: Some(median(ratios)),
        note: String::new(),
    })
}
