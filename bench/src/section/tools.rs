//! Tool calls through errand, beside the same calls without it.

use crate::Failure;
use crate::arguments::Arguments;
use crate::floor::Floor;
use crate::lab::Lab;
use crate::report::{Line, median, milliseconds};
use crate::tool_client;

/// Calls of a round.
const CALLS: u32 = 1_000;
/// Time that errand may add to a call besides two durable appends, in milliseconds.
const ADDED_MS: f64 = 1.0;
/// Durable appends of a call: its begin and its result.
const FSYNCS: f64 = 2.0;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let program = std::env::current_exe()?.display().to_string();
    let command = format!("[{program:?}, {}, \"{CALLS}\"]", tool_client::MODE);
    let servers = format!(
        "  mcp_servers:\n    - name: bench\n      command: [{program:?}, {}]\n",
        tool_client::SERVER_MODE
    );
    let agent = lab.agent("caller", &command, &servers)?;
    let (mut rounds, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        floors.push(Floor::look(lab.folder())?.fsync.as_secs_f64() * 1e3);
        let mut command = lab.errand(&["run", "-d", &agent.to_string_lossy()]);
        command.stdout(std::process::Stdio::piped());
        let run_id = String::from_utf8(command.output()?.stdout)?.trim().to_owned();
        lab.wait(&run_id)?;
        let record = lab.record(&run_id)?;
        if record["status"] != "completed" {
            return Err(format!("the agent failed: {}", record["last_error"]).into());
        }
        rounds.push(record["output"].clone());
    }
    let fsync = median(floors);
    let of = |way: &str, what: &str| {
        median(rounds.iter().filter_map(|round| round[way][what].as_f64()).collect())
    };
    let line = |what: &str| {
        let added = (of("through", what) - of("direct", what)).max(0.0);
        let allowed = ADDED_MS + FSYNCS * fsync;
        Line {
            name: format!("tool call over stdio: added {}", what.trim_end_matches("_ms")),
            measured: milliseconds(added / 1e3),
            target: milliseconds(allowed / 1e3),
            floor: format!("fsync {}", milliseconds(fsync / 1e3)),
            share: (what == "p50_ms").then_some(added / allowed),
            note: format!("{} without", milliseconds(of("direct", what) / 1e3)),
        }
    };
    Ok(vec![line("p50_ms"), line("p99_ms")])
}
