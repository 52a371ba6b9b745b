//! Lists of a registry with a long history.

use std::time::Duration;

use crate::Failure;
use crate::arguments::Arguments;
use crate::floor::median_of;
use crate::lab::Lab;
use crate::report::{Line, median, milliseconds};

/// Repetitions in one round.
const TIMES: usize = 9;

/// Runs started at once to make the history.
const AT_ONCE: u32 = 50;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let agent = lab.agent("nothing", "[sh, -c, 'echo one line']", "")?;
    let agent = agent.to_string_lossy().into_owned();
    make_history(&lab, &agent, arguments.runs)?;
    let run_id = lab.output(&["run", "-d", &agent])?;
    lab.wait(&run_id)?;

    let with = |name: &str| format!("{name}, {} runs", arguments.runs);
    let mut lines = Vec::new();
    for (name, words, allowed) in [
        (with("ps"), vec!["ps"], 5.0),
        (with("ps -a --json -n 20"), vec!["ps", "-a", "--json", "-n", "20"], 5.0),
        ("inspect-run".to_owned(), vec!["inspect-run", &run_id], 3.0),
        ("logs of a small log".to_owned(), vec!["logs", &run_id], 3.0),
    ] {
        match against_version(&lab, arguments.rounds, &words) {
            Ok((taken, share)) => lines.push(Line {
                name,
                measured: milliseconds(taken),
                target: format!("{allowed} times --version"),
                floor: format!("--version {}", milliseconds(taken / share)),
                share: Some(share / allowed),
                note: String::new(),
            }),
            Err(failure) => lines.push(Line::failed(&name, &failure.to_string())),
        }
    }
    Ok(lines)
}

/// Returns the median time of a command, and the median of its multiple of `--version`.
fn against_version(lab: &Lab, rounds: u32, words: &[&str]) -> Result<(f64, f64), Failure> {
    let time = |words: &[&str]| -> Result<Duration, Failure> {
        median_of(TIMES, || lab.time(words).map(drop))
    };
    let mut taken = Vec::new();
    let mut shares = Vec::new();
    for _ in 0..rounds {
        let version = time(&["--version"])?.as_secs_f64();
        let this = time(words)?.as_secs_f64();
        taken.push(this);
        shares.push(this / version);
    }
    Ok((median(taken), median(shares)))
}

fn make_history(lab: &Lab, agent: &str, runs: u32) -> Result<(), Failure> {
    let mut left = runs;
    while left > 0 {
        let batch = left.min(AT_ONCE);
        let ids: Vec<String> = (0..batch)
            .map(|_| lab.output(&["run", "-d", agent]))
            .collect::<Result<_, Failure>>()?;
        let mut words = vec!["wait"];
        words.extend(ids.iter().map(String::as_str));
        lab.errand(&words).status()?;
        left -= batch;
    }
    Ok(())
}
