//! The agent of the step measurement: does empty steps over the socket, and reports how fast.

use std::fs;
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::socket::Client;
use crate::{Failure, report};

/// The first word of the command line that makes this program an agent.
pub(crate) const MODE: &str = "--as-agent";

/// Steps done alone, one after the other.
const ALONE: u32 = 50;

/// Steps under way at once.
const IN_FLIGHT: u32 = 64;

/// Steps that each of those does.
const EACH: u32 = 20;

/// Runs as an agent. `words`: none.
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err("an agent takes no further words".into());
    }
    let api = variable("ERRAND_API")?;
    let token = variable("ERRAND_TOKEN")?;
    let mut client = Client::unix(&api, &token)?;
    let mut alone = Vec::new();
    for number in 0..ALONE {
        let started = Instant::now();
        step(&mut client, &format!("alone-{number}"))?;
        alone.push(started.elapsed().as_secs_f64());
    }

    let mut clients = Vec::new();
    for _ in 0..IN_FLIGHT {
        clients.push(Client::unix(&api, &token)?);
    }
    let started = Instant::now();
    let workers: Vec<_> = (0..IN_FLIGHT)
        .zip(clients)
        .map(|(worker, mut client)| {
            thread::spawn(move || {
                (0..EACH).try_for_each(|number| step(&mut client, &format!("{worker}-{number}")))
            })
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| "a client of the measurement died")??;
    }
    let per_second = f64::from(IN_FLIGHT * EACH) / started.elapsed().as_secs_f64();

    let result = json!({ "alone_seconds": report::median(alone), "per_second": per_second });
    fs::write(variable("ERRAND_OUTPUT")?, result.to_string())?;
    Ok(())
}

fn step(client: &mut Client, key: &str) -> Result<(), Failure> {
    let base = format!("/agent/v1/steps/{key}");
    for (target, body) in
        [(format!("{base}/begin"), "{}"), (format!("{base}/complete"), r#"{"output":1}"#)]
    {
        let (status, text) = client.post(&target, body)?;
        if !(200..300).contains(&status) {
            return Err(format!("{target}: {status} {text}").into());
        }
    }
    Ok(())
}

fn variable(name: &str) -> Result<String, Failure> {
    let value = std::env::var_os(name).ok_or_else(|| format!("{name} is not set"))?;
    value.into_string().map_err(|_| format!("{name} is not text").into())
}
