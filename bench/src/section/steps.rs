//! Durable steps.

use std::time::Duration;

use crate::Failure;
use crate::arguments::Arguments;
use crate::floor::{Floor, sqlite_rows_per_second};
use crate::lab::Lab;
use crate::report::{Line, median, milliseconds};
use crate::round::{Allowance, against_floor};

/// Steps of the shell agent, and plain commands for comparison.
const TIMES: u32 = 50;

/// Script that times both loops, and writes nanoseconds for each.
const SHELL_AGENT: &str = r#"
now() { date +%s%N; }
i=0; a=$(now); while [ $i -lt 50 ]; do errand agent step "s$i" -- /bin/true; i=$((i+1)); done; b=$(now)
i=0; c=$(now); while [ $i -lt 50 ]; do /bin/true; i=$((i+1)); done; d=$(now)
printf '{"steps":%s,"bare":%s}' $((b-a)) $((d-c)) > "$ERRAND_OUTPUT"
"#;

/// Share of G that concurrent steps must reach.
const SHARE_OF_G: f64 = 0.04;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let rounds = (arguments.rounds, lab.folder());
    let shell = lab.agent("shell", "[sh, agent.sh]", "")?;
    std::fs::write(shell.join("agent.sh"), SHELL_AGENT)?;
    let from_shell =
        against_floor("agent step, above its command", Allowance::of(3.0, 2.0), rounds, || {
            let output = output_of(&lab, &shell.to_string_lossy())?;
            let nanoseconds = |field: &str| output[field].as_u64().ok_or("no time in the output");
            let extra = nanoseconds("steps")?.saturating_sub(nanoseconds("bare")?);
            Ok(Duration::from_nanos(extra) / TIMES)
        })?;
    let mut lines = vec![from_shell];
    lines.extend(over_the_socket(&lab, arguments.rounds)?);
    Ok(lines)
}

fn over_the_socket(lab: &Lab, rounds: u32) -> Result<[Line; 2], Failure> {
    let program = std::env::current_exe()?;
    let command = format!("[{:?}, {}]", program.display().to_string(), crate::step_agent::MODE);
    let agent = lab.agent("program", &command, "")?;
    let allowance = Allowance { spawns: 0.0, fsyncs: 2.0, seconds: 0.0005 };
    let (mut alone, mut alone_shares) = (Vec::new(), Vec::new());
    let (mut rates, mut rate_shares, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let floor = Floor::look(lab.folder())?;
        let rows = sqlite_rows_per_second(lab.folder())?;
        let output = output_of(lab, &agent.to_string_lossy())?;
        let seconds = output["alone_seconds"].as_f64().ok_or("no time in the output")?;
        let rate = output["per_second"].as_f64().ok_or("no rate in the output")?;
        alone.push(seconds);
        alone_shares.push(seconds / (floor.allow(0.0, allowance.fsyncs) + allowance.seconds));
        rates.push(rate);
        rate_shares.push(rows * SHARE_OF_G / rate);
        floors.push((floor.fsync.as_secs_f64(), rows));
    }
    let fsync = median(floors.iter().map(|floor| floor.0).collect());
    let rows = median(floors.iter().map(|floor| floor.1).collect());
    Ok([
        Line {
            name: "a step over the socket, alone".to_owned(),
            measured: milliseconds(median(alone)),
            target: "2 fsyncs + 0.5 ms".to_owned(),
            floor: format!("fsync {}", milliseconds(fsync)),
            share: Some(median(alone_shares)),
            note: String::new(),
        },
        Line {
            name: "steps over the socket, 64 in flight".to_owned(),
            measured: format!("{:.0}/s", median(rates)),
            target: format!("{SHARE_OF_G} G"),
            floor: format!("G {rows:.0}/s"),
            share: Some(median(rate_shares)),
            note: String::new(),
        },
    ])
}

/// Runs an agent. Returns its output.
fn output_of(lab: &Lab, agent: &str) -> Result<serde_json::Value, Failure> {
    let run_id = lab.output(&["run", "-d", agent])?;
    lab.wait(&run_id)?;
    let record = lab.record(&run_id)?;
    if record["status"] != "completed" {
        return Err(format!("the agent failed: {}", record["last_error"]).into());
    }
    Ok(record["output"].clone())
}
