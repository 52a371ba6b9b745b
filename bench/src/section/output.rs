//! An agent with much output.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::arguments::Arguments;
use crate::lab::{Lab, memory_kib};
use crate::report::{Line, median};

/// Least share of the speed of `cat > file`.
const LEAST_SHARE: f64 = 0.5;

/// Allowed memory of a helper or a reader while gigabytes pass: that of an idle one, with buffers.
const MOST_KIB: u32 = 16 * 1024;

/// Number of rounds; each writes the whole text twice.
const ROUNDS: u32 = 3;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let bytes = u64::from(arguments.log_mib) * 1024 * 1024;
    // 79 characters and a newline.
    let line = "0123456789".repeat(8);
    let line = line.get(1..).unwrap_or_default();
    let script = format!("yes {line} | head -c {bytes}");
    let agent = lab.agent("talker", "[sh, agent.sh]", "")?;
    std::fs::write(agent.join("agent.sh"), &script)?;
    let agent = agent.to_string_lossy().into_owned();

    let (mut floors, mut pumps, mut weights, mut reads) = (vec![], vec![], vec![], vec![]);
    let mut reader_kib = 0;
    for _ in 0..ROUNDS {
        floors.push(cat_to_file(&lab, &script)?.as_secs_f64());
        let (taken, kib, run_id) = pump(&lab, &agent)?;
        pumps.push(taken.as_secs_f64());
        weights.push(f64::from(u32::try_from(kib)?));
        let (taken, kib) = watch(lab.errand(&["logs", &run_id]))?;
        reads.push(taken.as_secs_f64());
        reader_kib = reader_kib.max(u32::try_from(kib)?);
        lab.output(&["rm", &run_id])?;
    }
    let mib = f64::from(arguments.log_mib);
    let shares = floors.iter().zip(&pumps).map(|(floor, pump)| pump * LEAST_SHARE / floor);
    let share = median(shares.collect());
    let floor = format!("cat > file {:.0} MiB/s", mib / median(floors));
    let weight = median(weights);
    Ok(vec![
        Line {
            name: format!("log of {} MiB", arguments.log_mib),
            measured: format!("{:.0} MiB/s", mib / median(pumps)),
            target: format!("{LEAST_SHARE} of cat > file"),
            floor,
            share: Some(share),
            note: String::new(),
        },
        weight_line("its helper, peak RSS", weight),
        weight_line("logs of it, peak RSS", f64::from(reader_kib)),
        Line {
            name: "logs of it".to_owned(),
            measured: format!("{:.0} MiB/s", mib / median(reads)),
            target: String::new(),
            floor: String::new(),
            share: None,
            note: String::new(),
        },
    ])
}

fn weight_line(name: &str, kib: f64) -> Line {
    Line {
        name: name.to_owned(),
        measured: format!("{:.1} MiB", kib / 1024.0),
        target: format!("{} MiB (bounded)", MOST_KIB / 1024),
        floor: String::new(),
        share: Some(kib / f64::from(MOST_KIB)),
        note: String::new(),
    }
}

fn cat_to_file(lab: &Lab, script: &str) -> Result<Duration, Failure> {
    let path = lab.folder().join("floor.txt");
    let started = Instant::now();
    let status = Command::new("sh")
        .args(["-c", &format!("{script} | cat")])
        .stdout(File::create(&path)?)
        .status()?;
    let taken = started.elapsed();
    std::fs::remove_file(path)?;
    if status.success() { Ok(taken) } else { Err("`cat` failed".into()) }
}

/// Runs the agent in the background. Returns its time, the peak memory of its helper, and its run.
fn pump(lab: &Lab, agent: &str) -> Result<(Duration, u64, String), Failure> {
    let started = Instant::now();
    let run_id = lab.output(&["run", "-d", agent])?;
    let helper = lab.record(&run_id)?["pid"].as_u64();
    let mut waiting = lab.errand(&["wait", &run_id]).spawn()?;
    let mut peak = 0;
    while waiting.try_wait()?.is_none() {
        peak = peak.max(helper.and_then(|pid| memory_kib(pid, "VmHWM").ok()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok((started.elapsed(), peak, run_id))
}

/// Runs a command whose output is discarded. Returns its time and its peak memory.
fn watch(mut command: Command) -> Result<(Duration, u64), Failure> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let pid = u64::from(child.id());
    let mut pipe = child.stdout.take().ok_or("no pipe")?;
    let reader = std::thread::spawn(move || std::io::copy(&mut pipe, &mut std::io::sink()));
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        peak = peak.max(memory_kib(pid, "VmHWM").unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    let taken = started.elapsed();
    reader.join().map_err(|_| "the reader died")??;
    Ok((taken, peak))
}
