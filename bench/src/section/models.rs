//! Model calls through errand, beside the same calls without it.

use serde_json::Value;

use crate::Failure;
use crate::arguments::Arguments;
use crate::floor::Floor;
use crate::lab::Lab;
use crate::model_client;
use crate::report::{Line, median, milliseconds};

/// Time that errand may add to a call: the median, and all but one of a hundred.
const ADDED: [(&str, f64); 2] = [("p50_ms", 0.5), ("p99_ms", 3.0)];

/// Time by which the first byte of a streamed answer may come later than without errand.
const FIRST_MS: f64 = 1.0;

/// Calls per second that errand must carry.
const RATE: f64 = 2_000.0;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let address = model_client::provider()?;
    let program = std::env::current_exe()?.display().to_string();
    let command =
        format!("[{program:?}, {}, {address:?}, \"{}\"]", model_client::MODE, arguments.calls);
    let providers = format!(
        "  providers:\n    openai: {{ key: BENCH_KEY, base_url: \"http://{address}\" }}\n    \
         anthropic: {{ key: BENCH_KEY, base_url: \"http://{address}\" }}\n"
    );
    let agent = lab.agent("caller", &command, &providers)?;
    let mut rounds = Vec::new();
    let mut floors = Vec::new();
    for _ in 0..arguments.rounds {
        floors.push(Floor::look(lab.folder())?.fsync.as_secs_f64());
        let mut command = lab.errand(&["run", "-d", &agent.to_string_lossy()]);
        command.env("BENCH_KEY", "sk-of-the-measurement").stdout(std::process::Stdio::piped());
        let run_id = String::from_utf8(command.output()?.stdout)?.trim().to_owned();
        lab.wait(&run_id)?;
        let record = lab.record(&run_id)?;
        if record["status"] != "completed" {
            return Err(format!("the agent failed: {}", record["last_error"]).into());
        }
        rounds.push(record["output"].clone());
    }
    Ok(lines("", &rounds, median(floors)))
}

/// Returns the lines of measured rounds. `by`: what the calls went through, if that is not errand.
pub(super) fn lines(by: &str, rounds: &[Value], fsync: f64) -> Vec<Line> {
    let count = rounds.first().and_then(Value::as_array).map_or(0, Vec::len);
    let floor = format!("fsync {}", milliseconds(fsync));
    let mut lines = Vec::new();
    for place in 0..count {
        let name = rounds[0][place]["workload"].as_str().unwrap_or_default();
        let of = |way: &str, what: &str| {
            median(rounds.iter().filter_map(|round| round[place][way][what].as_f64()).collect())
        };
        for (way, load) in [("", "as many as go"), ("paced_", "200/s")] {
            for (what, allowed) in ADDED {
                let (direct, through) = (format!("{way}direct"), format!("{way}through"));
                let added = (of(&through, what) - of(&direct, what)).max(0.0);
                lines.push(Line {
                    name: format!("{by}{name}, {load}: added {}", what.trim_end_matches("_ms")),
                    measured: milliseconds(added / 1e3),
                    target: milliseconds(allowed / 1e3),
                    floor: floor.clone(),
                    share: Some(added / allowed),
                    note: format!("{} without", milliseconds(of(&direct, what) / 1e3)),
                });
            }
        }
        if name.ends_with("stream") {
            let (without, first) =
                (of("paced_direct", "first_p50_ms"), of("paced_through", "first_p50_ms"));
            let added = (first - without).max(0.0);
            lines.push(Line {
                name: format!("{by}{name}, 200/s: first byte later by"),
                measured: milliseconds(added / 1e3),
                target: milliseconds(FIRST_MS / 1e3),
                floor: floor.clone(),
                share: Some(added / FIRST_MS),
                note: format!("{} without", milliseconds(without / 1e3)),
            });
        }
        let rate = of("through", "per_second");
        lines.push(Line {
            name: format!("{by}{name}: calls"),
            measured: format!("{rate:.0}/s"),
            target: format!("{RATE:.0}/s"),
            floor: floor.clone(),
            share: Some(RATE / rate),
            note: format!("{:.0}/s without", of("direct", "per_second")),
        });
    }
    lines
}
