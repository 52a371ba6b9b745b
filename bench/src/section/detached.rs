//! Runs of an agent that does nothing.

use std::time::Instant;

use crate::Failure;
use crate::arguments::Arguments;
use crate::lab::{Lab, wait_for};
use crate::report::Line;
use crate::round::{Allowance, against_floor};

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let agent = lab.agent("nothing", "[/bin/true]", "")?;
    let agent = agent.to_string_lossy().into_owned();
    // A warm-up builds the parcel.
    lab.output(&["run", &agent])?;
    let rounds = (arguments.rounds * 5, lab.folder());

    let returns = against_floor("run -d returns", Allowance::of(5.0, 3.0), rounds, || {
        let started = Instant::now();
        let run_id = lab.output(&["run", "-d", &agent])?;
        let taken = started.elapsed();
        // The next round starts on an idle machine.
        lab.wait(&run_id)?;
        Ok(taken)
    })?;

    let terminal = against_floor("run -d until terminal", Allowance::of(8.0, 6.0), rounds, || {
        let started = Instant::now();
        let run_id = lab.output(&["run", "-d", &agent])?;
        let record = lab.registry().join("runs").join(format!("{run_id}.json"));
        wait_for("the run is terminal", || {
            // The record is replaced atomically: it is never half written.
            let text = std::fs::read_to_string(&record).unwrap_or_default();
            let is_terminal = text.contains("\"completed\"") || text.contains("\"failed\"");
            Ok(is_terminal.then_some(()))
        })?;
        let taken = started.elapsed();
        lab.wait(&run_id)?;
        Ok(taken)
    })?;

    let foreground =
        against_floor("run, in the foreground", Allowance::of(8.0, 6.0), rounds, || {
            lab.time(&["run", &agent])
        })?;
    Ok(vec![returns, terminal, foreground])
}
