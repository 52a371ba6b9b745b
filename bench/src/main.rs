//! `errand-bench`: speed and size of errand, compared with floors of the machine.
//!
//! A machine's speed varies with its other load, so no target is in seconds. Every measurement is
//! taken between two measurements of the floor (spawning `/bin/true`, a durable append, SQLite's
//! own speed), and reported as a share of the target's allowance: below 1.00 the target is met.

mod arguments;
mod floor;
mod history;
mod lab;
mod model_client;
mod report;
mod round;
mod section;
mod shares;
mod socket;
mod step_agent;
mod tool_client;

use std::io::Write as _;
use std::process::ExitCode;

use arguments::Arguments;
use shares::Shares;

/// Error of a measurement.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // This program is also the agent of some measurements.
    if words.first().is_some_and(|word| word == model_client::MODE) {
        return answer(model_client::run(words.get(1..).unwrap_or_default()));
    }
    if words.first().is_some_and(|word| word == tool_client::MODE) {
        return answer(tool_client::run(words.get(1..).unwrap_or_default()));
    }
    if words.first().is_some_and(|word| word == tool_client::SERVER_MODE) {
        return answer(tool_client::serve());
    }
    if words.first().is_some_and(|word| word == step_agent::MODE) {
        return answer(step_agent::run(words.get(1..).unwrap_or_default()));
    }
    match Arguments::parse(words).and_then(with_known_sections) {
        Ok(arguments) => answer(measure(&arguments)),
        Err(usage) => {
            tell(&usage);
            for section in section::ALL {
                tell(&format!("  {}: {}", section.name, section.about));
            }
            ExitCode::from(2)
        }
    }
}

/// Returns the arguments if each section that they name exists, and the usage otherwise.
fn with_known_sections(arguments: Arguments) -> Result<Arguments, String> {
    let is_known = |name: &str| section::ALL.iter().any(|section| section.name == name);
    match arguments.unknown_section(is_known) {
        Some(name) => Err(arguments::usage(&format!("unknown word: {name}\n\n"))),
        None => Ok(arguments),
    }
}

fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let before = arguments.compared_with.as_deref().map(Shares::read).transpose()?;
    let (mut lines, mut failed) = (Vec::new(), Vec::new());
    for section in section::ALL {
        if !arguments.wants(section.name, section.is_long) {
            continue;
        }
        tell(&format!("measuring {}: {}", section.name, section.about));
        match (section.measure)(arguments) {
            Ok(measured) => lines.extend(measured),
            Err(failure) => {
                let line = report::Line::failed(section.name, &failure.to_string());
                lines.push(line);
                failed.push(section.name);
            }
        }
    }
    let text = if arguments.json { report::json(&lines)? } else { report::table(&lines) };
    writeln!(std::io::stdout(), "{text}")?;
    if let Some(before) = before {
        writeln!(std::io::stdout(), "{}", before.compared_with(&lines))?;
    }
    if let Some((file, commit)) = &arguments.saved_to {
        if !failed.is_empty() {
            return Err(format!("shares are not saved: no figures of {}", failed.join(", ")).into());
        }
        Shares::of(&lines, commit).write(file)?;
    }
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

/// Prints a line on stderr.
fn tell(line: &str) {
    // Without stderr the line is lost.
    let written = writeln!(std::io::stderr(), "{line}");
    drop(written);
}
