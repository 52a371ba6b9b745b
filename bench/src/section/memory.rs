//! Memory of helper processes, and activity of an idle service.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::Failure;
use crate::arguments::Arguments;
use crate::lab::{Lab, memory_kib, status_number, wait_for};
use crate::report::Line;

/// Allowed memory of the helper of a detached run.
const MOST_OF_A_HELPER_KIB: u32 = 12 * 1024;

/// Allowed memory of the helper of an idle service.
const MOST_OF_A_SERVICE_KIB: u32 = 15 * 1024;

/// Ticks of the CPU clock per second, which Linux fixes for user space.
pub(super) const TICKS_PER_SECOND: u32 = 100;

/// Allowed share of a core for an idle service.
const MOST_OF_A_CORE: f64 = 0.001;

/// Wake-ups that are no sign of polling: the kernel's own, and the end of earlier work.
const FEW_WAKE_UPS: u32 = 3;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let agent = lab.agent("sleeper", "[sleep, '600']", "")?;
    let run_id = lab.output(&["run", "-d", &agent.to_string_lossy()])?;
    let helper = pid_of(&lab, &run_id)?;
    let weight = memory_kib(helper, "VmRSS")?;
    let mut lines = vec![weight_line("helper of a detached run", weight, MOST_OF_A_HELPER_KIB)?];
    lab.output(&["stop", "--force", &run_id])?;

    let service = lab.agent("service", "[/bin/true]", "")?;
    // Nothing is due during the observation.
    let words = ["serve", "-d", &service.to_string_lossy(), "--schedule", "0 0 0 1 1 *"];
    let run_id = lab.output(&words)?;
    let helper = pid_of(&lab, &run_id)?;
    // The work of the start is over by then.
    thread::sleep(Duration::from_secs(2));
    let before = Activity::of(helper)?;
    thread::sleep(Duration::from_secs(arguments.idle_seconds.into()));
    let after = Activity::of(helper)?;
    lines.push(weight_line(
        "helper of an idle service",
        memory_kib(helper, "VmRSS")?,
        MOST_OF_A_SERVICE_KIB,
    )?);
    lines.extend(after.since(before, arguments.idle_seconds));
    Ok(lines)
}

/// Returns the pid of a run's helper once it is recorded.
fn pid_of(lab: &Lab, run_id: &str) -> Result<u64, Failure> {
    wait_for("the run is running", || {
        let record = lab.record(run_id)?;
        let is_running = record["status"] == "running";
        Ok(record["pid"].as_u64().filter(|_| is_running))
    })
}

fn weight_line(name: &str, kib: u64, most_kib: u32) -> Result<Line, Failure> {
    let kib = u32::try_from(kib)?;
    Ok(Line {
        name: format!("{name}, RSS"),
        measured: format!("{:.1} MiB", f64::from(kib) / 1024.0),
        target: format!("{} MiB", most_kib / 1024),
        floor: String::new(),
        share: Some(f64::from(kib) / f64::from(most_kib)),
        note: String::new(),
    })
}

/// Activity of a process since its start, all threads together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activity {
    pub(super) cpu_ticks: u32,
    wake_ups: u32,
}

impl Activity {
    pub(super) fn of(pid: u64) -> Result<Self, Failure> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = stat.rsplit_once(") ").ok_or("a process without a state")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        // Fields 14 and 15 of proc(5), counted from the state, which is field 3.
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
        let cpu_ticks = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
        let mut wake_ups = 0;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            wake_ups += status_number(&status, "voluntary_ctxt_switches").unwrap_or(0);
        }
        let cpu_ticks = cpu_ticks.ok_or("a process without times")?;
        Ok(Self { cpu_ticks, wake_ups: u32::try_from(wake_ups)? })
    }

    fn since(self, before: Self, seconds: u32) -> [Line; 2] {
        let ticks = self.cpu_ticks.saturating_sub(before.cpu_ticks);
        let core = f64::from(ticks) / f64::from(seconds * TICKS_PER_SECOND);
        let wake_ups = self.wake_ups.saturating_sub(before.wake_ups);
        [
            Line {
                name: format!("idle service, CPU over {seconds} s"),
                measured: format!("{:.3} % of a core", core * 100.0),
                target: "0.1 % of a core".to_owned(),
                floor: String::new(),
                share: Some(core / MOST_OF_A_CORE),
                note: format!("{ticks} ticks of 10 ms"),
            },
            Line {
                name: format!("idle service, wake-ups over {seconds} s"),
                measured: wake_ups.to_string(),
                target: "no periodic ones".to_owned(),
                floor: String::new(),
                share: Some(f64::from(wake_ups) / f64::from(FEW_WAKE_UPS)),
                note: String::new(),
            },
        ]
    }
}
