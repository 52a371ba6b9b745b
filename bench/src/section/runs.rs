//! Runs of ten steps: alone, and many at once.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;

use crate::Failure;
use crate::arguments::Arguments;
use crate::floor::{commit, sqlite_rows_per_second};
use crate::lab::{Lab, wait_for};
use crate::report::{Line, median, milliseconds};

/// Steps of one run.
const STEPS: u32 = 10;
/// Allowed durable commits of a run of ten steps, and additional seconds.
const COMMITS: f64 = 13.0;
const SECONDS: f64 = 0.005;
/// Number of concurrent runs.
const AT_ONCE: u32 = 64;
/// Share of G that their steps must reach.
const SHARE_OF_G: f64 = 0.04;
/// Allowed CPU time of errand's processes for a step, in µs.
const MOST_CPU_US: f64 = 150.0;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let program = std::env::current_exe()?.display().to_string();
    let command = format!("[{program:?}, {}, steps, {STEPS}]", crate::step_agent::MODE);
    let agent = lab.agent("ten", &command, "")?.to_string_lossy().into_owned();
    let alone = alone(&lab, &agent, arguments.rounds)?;
    let [rate, cpu] = at_once(&lab, &agent, arguments.rounds)?;
    Ok(vec![alone, rate, cpu])
}

/// Measures the time from the first step's start to the last one's end, as the agent sees it.
fn alone(lab: &Lab, agent: &str, rounds: u32) -> Result<Line, Failure> {
    let (mut taken, mut shares, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let commit = commit(lab.folder())?.as_secs_f64();
        let run_id = lab.output(&["run", "-d", agent])?;
        lab.wait(&run_id)?;
        let seconds = seconds_of(&lab.record(&run_id)?)?;
        taken.push(seconds);
        shares.push(seconds / (COMMITS * commit + SECONDS));
        floors.push(commit);
    }
    Ok(Line {
        name: "a run of 10 steps over the socket".to_owned(),
        measured: milliseconds(median(taken)),
        target: format!("{COMMITS} C + 5 ms"),
        floor: format!("C {}", milliseconds(median(floors))),
        share: Some(median(shares)),
        note: String::new(),
    })
}

fn seconds_of(record: &Value) -> Result<f64, Failure> {
    record["output"]["seconds"].as_f64().ok_or_else(|| format!("no time: {record}").into())
}

fn at_once(lab: &Lab, agent: &str, rounds: u32) -> Result<[Line; 2], Failure> {
    let (mut rates, mut shares, mut costs, mut floors) = (vec![], vec![], vec![], vec![]);
    for round in 0..rounds {
        let rows = sqlite_rows_per_second(lab.folder())?;
        let (seconds, cpu) = one_round(lab, agent, round)?;
        let steps = f64::from(AT_ONCE * STEPS);
        rates.push(steps / seconds);
        shares.push(rows * SHARE_OF_G / (steps / seconds));
        costs.push(cpu * 1e6 / steps);
        floors.push(rows);
    }
    let cost = median(costs);
    let line = |name: &str, measured, target, floor, share| Line {
        name: name.to_owned(),
        measured,
        target,
        floor,
        share: Some(share),
        note: String::new(),
    };
    Ok([
        line(
            "steps of 64 runs at once",
            format!("{:.0}/s", median(rates)),
            format!("{SHARE_OF_G} G"),
            format!("G {:.0}/s", median(floors)),
            median(shares),
        ),
        line(
            "steps of 64 runs, processor",
            format!("{cost:.0} µs per step"),
            format!("{MOST_CPU_US} µs"),
            String::new(),
            cost / MOST_CPU_US,
        ),
    ])
}

/// Runs wait at a gate before and after their steps, so that only the steps are measured. Returns
/// seconds, and the CPU time of their helpers.
fn one_round(lab: &Lab, agent: &str, round: u32) -> Result<(f64, f64), Failure> {
    let place = lab.folder().join(format!("gate-{round}"));
    fs::create_dir(&place)?;
    for gate in ["go", "leave"] {
        mknodat(CWD, place.join(gate), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    }
    let variable = format!("BENCH_GATE={}", place.display());
    let mut starts: Vec<Child> = Vec::new();
    for _ in 0..AT_ONCE {
        let words = ["run", "-d", "--env", &variable, agent];
        starts.push(lab.errand(&words).stdout(Stdio::piped()).spawn()?);
    }
    let mut ids = Vec::new();
    for start in starts {
        ids.push(String::from_utf8(start.wait_with_output()?.stdout)?.trim().to_owned());
    }
    wait_for("all runs wait at the gate", || count(&place, "ready-"))?;
    let helpers: Vec<u64> = ids
        .iter()
        .map(|run_id| lab.record(run_id)?["pid"].as_u64().ok_or_else(|| "no helper".into()))
        .collect::<Result<_, Failure>>()?;
    let before = cpu_seconds(&helpers);
    let started = Instant::now();
    open(&place.join("go"))?;
    wait_for("all runs are through", || count(&place, "done-"))?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds(&helpers) - before;
    open(&place.join("leave"))?;
    for run_id in &ids {
        lab.wait(run_id)?;
    }
    Ok((seconds, cpu))
}

/// Releases the runs that wait at the gate.
fn open(gate: &Path) -> Result<(), Failure> {
    fs::File::options().write(true).open(gate)?;
    // A late run finds a regular file, and does not wait.
    fs::remove_file(gate)?;
    fs::write(gate, "")?;
    Ok(())
}

fn count(place: &Path, prefix: &str) -> Result<Option<()>, Failure> {
    let entries = fs::read_dir(place)?.flatten();
    let there = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    Ok((there.count() >= usize::try_from(AT_ONCE)?).then_some(()))
}

/// Returns the CPU time of processes so far, all threads together; ended ones are left out.
fn cpu_seconds(pids: &[u64]) -> f64 {
    let of_thread = |folder: &Path| {
        let text = fs::read_to_string(folder.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    let of = |pid: &u64| {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        Some(threads.filter_map(|thread| of_thread(&thread.path())).sum::<f64>() / 1e9)
    };
    pids.iter().filter_map(of).sum()
}
