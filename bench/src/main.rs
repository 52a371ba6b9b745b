//! `errand-bench`: how fast and how small errand is, against the floor of the machine it runs on.
//!
//! A machine's speed swings with its neighbours, so nothing here is judged in seconds. Every measurement stands
//! between two looks at the floor (spawning `/bin/true`, a durable append, SQLite's own speed) and is reported
//! as a share of what its target allows: below 1.00 it holds.

mod arguments;
mod floor;
mod history;
mod lab;
mod report;
mod round;
mod section;
mod socket;
mod step_agent;

use std::io::Write as _;
use std::process::ExitCode;

use arguments::Arguments;

/// Why a measurement could not be made.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // The agents of some measurements are this same program.
    if words.first().is_some_and(|word| word == step_agent::MODE) {
        return answer(step_agent::run(words.get(1..).unwrap_or_default()));
    }
    match Arguments::parse(words) {
        Ok(arguments) => answer(measure(&arguments)),
        Err(usage) => {
            tell(&usage);
            ExitCode::from(2)
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for section in section::ALL {
        if !arguments.wants(section.name) {
            continue;
        }
        tell(&format!("measuring {}: {}", section.name, section.about));
        match (section.measure)(arguments) {
            Ok(measured) => lines.extend(measured),
            Err(failure) => {
                let line = report::Line::failed(section.name, &failure.to_string());
                lines.push(line);
            }
        }
    }
    let text = if arguments.json { report::json(&lines)? } else { report::table(&lines) };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

fn answer(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&format!("errand-bench: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line for the person at the terminal.
fn tell(line: &str) {
    // Nobody is left to tell when stderr is gone.
    let written = writeln!(std::io::stderr(), "{line}");
    drop(written);
}
