//! The agent of the step measurement: it makes empty steps over the socket, and reports its speed.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::socket::Client;
use crate::{Failure, report};

/// The first word of the command line that makes this program an agent.
pub(crate) const MODE: &str = "--as-agent";

/// Steps one after the other.
const ALONE: u32 = 50;

/// Concurrent steps.
const IN_FLIGHT: u32 = 64;

/// Steps before a resume, and the bytes of the saved state.
const RESUMED: u32 = 10_000;
const STATE_BYTES: usize = 1024 * 1024 - 2;

/// Steps of each concurrent client.
const EACH: u32 = 20;

/// Runs as an agent. `words`: none, `steps <n>`, or `resume`.
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    match words {
        [] => mixed(),
        [mode, steps] if mode == "steps" => ten(steps.parse()?),
        [mode] if mode == "resume" => resume(),
        [mode, tokens, every] if mode == "tokens" => tell(tokens.parse()?, every.parse()?),
        _ => Err("an agent takes no such words".into()),
    }
}

/// Writes so many parts of an output at an even pace; each is the time at which it is written.
fn tell(tokens: u32, every_us: u32) -> Result<(), Failure> {
    let mut client = Client::unix(&variable("ERRAND_API")?, &variable("ERRAND_TOKEN")?)?;
    let every = Duration::from_micros(every_us.into());
    let mut next = Instant::now();
    for _ in 0..tokens {
        next += every;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let now = monotonic()?.as_nanos();
        let body = json!({ "text": format!("{now} ") }).to_string();
        let (status, answer) = client.post("/agent/v1/output", &body)?;
        if status != 200 {
            return Err(format!("answered {status}: {answer}").into());
        }
    }
    Ok(())
}

/// Returns the monotonic time, which all processes of the machine share.
pub(crate) fn monotonic() -> Result<Duration, Failure> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Ok(Duration::new(now.tv_sec.try_into()?, now.tv_nsec.try_into()?))
}

/// Makes so many steps one after the other, behind a gate if there is one.
fn ten(steps: u32) -> Result<(), Failure> {
    let mut client = Client::unix(&variable("ERRAND_API")?, &variable("ERRAND_TOKEN")?)?;
    let gate = std::env::var_os("BENCH_GATE").map(std::path::PathBuf::from);
    let run_id = variable("ERRAND_RUN_ID")?;
    let wait = |before: &str, at: &str| -> Result<(), Failure> {
        if let Some(gate) = &gate {
            fs::write(gate.join(format!("{before}-{run_id}")), "")?;
            // Opening the pipe waits for a writer.
            fs::File::open(gate.join(at))?;
        }
        Ok(())
    };
    wait("ready", "go")?;
    let started = Instant::now();
    for number in 0..steps {
        step(&mut client, &format!("s{number}"))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    wait("done", "leave")?;
    fs::write(variable("ERRAND_OUTPUT")?, json!({ "seconds": seconds }).to_string())?;
    Ok(())
}

/// Makes many steps, saves a state and fails in the first attempt; makes one more step in the next.
fn resume() -> Result<(), Failure> {
    let (api, token) = (variable("ERRAND_API")?, variable("ERRAND_TOKEN")?);
    let mut client = Client::unix(&api, &token)?;
    if variable("ERRAND_ATTEMPT")? != "1" {
        let (status, text) = client.post("/agent/v1/checkin", "{}")?;
        if status != 200 || !text.contains("\"checkpoint\"") {
            return Err(format!("checkin: {status}").into());
        }
        return step(&mut client, "the-new-one");
    }
    let workers: Vec<_> = (0..IN_FLIGHT)
        .map(|worker| {
            let mut client = Client::unix(&api, &token)?;
            let own = (worker..RESUMED).step_by(usize::try_from(IN_FLIGHT)?);
            Ok(thread::spawn(move || {
                own.into_iter().try_for_each(|number| step(&mut client, &format!("s{number}")))
            }))
        })
        .collect::<Result<_, Failure>>()?;
    for worker in workers {
        worker.join().map_err(|_| "a client of the measurement died")??;
    }
    let state = json!({ "state": "x".repeat(STATE_BYTES) }).to_string();
    let (status, text) = client.put("/agent/v1/checkpoint", &state)?;
    if status != 200 {
        return Err(format!("checkpoint: {status} {text}").into());
    }
    Err("the first attempt fails".into())
}

/// Makes steps alone, and then many concurrent ones.
fn mixed() -> Result<(), Failure> {
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
