//! Tasks accepted by a dispatcher: `POST /tasks` of many clients, each on a connection of its own.
//!
//! The dispatcher has no slots, so the tasks stay in its queue. Each has another configuration.

use std::sync::atomic::{AtomicU64, Ordering};

use super::http::{Load, Round, Server, rounds};
use crate::Failure;
use crate::arguments::Arguments;
use crate::lab::Lab;
use crate::report::{Line, median};

/// Clients at once.
const CLIENTS: u32 = 16;
/// Requests per second that a dispatcher on SQLite is to answer, and its processor time for each.
const PER_SECOND: f64 = 2_000.0;
const CPU_US: f64 = 250.0;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for (what, more) in [
        ("", ""),
        (
            ", callback and token",
            r#", "callback_url": "http://127.0.0.1:9/", "callback_token": "t-0""#,
        ),
    ] {
        let lab = Lab::new(arguments)?;
        let server = Server::start(&lab, &["dispatcher", "--slots", "0"])?;
        let next = AtomicU64::new(0);
        let body = || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            format!(
                r#"{{"task_id": "task-{number}", "agent_image": "localhost/noop:1",
                 "env": {{"N": "{number}"}}, "timeout_seconds": 60{more}}}"#
            )
        };
        let load = Load { path: "/tasks", clients: CLIENTS, body: &body };
        lines.extend(of(what, &rounds(arguments, &server, &load)?));
        drop(server);
        // Otherwise each of thousands of queued tasks would be stopped by a command of its own.
        std::fs::remove_dir_all(lab.registry())?;
    }
    Ok(lines)
}

fn of(what: &str, rounds: &[Round]) -> Vec<Line> {
    let median_of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let per_second = median_of(|round| round.per_second);
    let cpu_us = median_of(|round| round.cpu_us);
    vec![
        Line {
            name: format!("POST /tasks, {CLIENTS} clients{what}"),
            measured: format!("{per_second:.0}/s"),
            target: format!("{PER_SECOND}/s"),
            floor: String::new(),
            share: Some(PER_SECOND / per_second),
            note: format!("p50 {:.1} ms", median_of(|round| round.p50) * 1e3),
        },
        Line {
            name: format!("POST /tasks{what}, processor"),
            measured: format!("{cpu_us:.0} µs"),
            target: format!("{CPU_US} µs"),
            floor: String::new(),
            share: Some(cpu_us / CPU_US),
            note: String::new(),
        },
    ]
}
