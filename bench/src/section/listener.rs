//! Wakes by HTTP requests.

use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::arguments::Arguments;
use crate::lab::{Lab, wait_for};
use crate::report::{Line, median};
use crate::round::{Allowance, against_floor};
use crate::socket::Client;

/// Number of concurrent clients.
const CLIENTS: u32 = 8;

/// Requests of each client.
const EACH: u32 = 10;

/// Least share of the rate that all cores together could reach, given the rate of one client.
const LEAST_SHARE: f64 = 0.7;

pub(super) fn measure(arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let lab = Lab::new(arguments)?;
    let agent = lab.agent("woken", "[/bin/true]", "")?;
    let agent = agent.to_string_lossy().into_owned();
    let run_id = lab.output(&["serve", "-d", &agent, "--listen", "127.0.0.1:0"])?;
    let address = wait_for("the listener is bound", || {
        let record = lab.record(&run_id)?;
        let bound = &record["operation"]["listeners"][0]["bound_addr"];
        Ok(bound.as_str().map(ToOwned::to_owned))
    })?;
    let rounds = (arguments.rounds * 5, lab.folder());
    let wake =
        against_floor("a wake by a request", Allowance::of(6.0, 6.0), rounds, || wake(&address))?;

    let mut shares = Vec::new();
    let mut rates = Vec::new();
    let cores = f64::from(u32::try_from(thread::available_parallelism()?.get())?);
    for _ in 0..arguments.rounds {
        let started = Instant::now();
        (0..EACH).try_for_each(|_| self::wake(&address).map(drop))?;
        let one = f64::from(EACH) / started.elapsed().as_secs_f64();
        let all = many(&address)?;
        rates.push(all);
        shares.push(one * cores.min(f64::from(CLIENTS)) * LEAST_SHARE / all);
    }
    let at_once = Line {
        name: format!("{CLIENTS} clients at once"),
        measured: format!("{:.0} wakes/s", median(rates)),
        target: format!("{LEAST_SHARE} of {cores} cores times one client"),
        floor: String::new(),
        share: Some(median(shares)),
        note: String::new(),
    };
    Ok(vec![wake, at_once])
}

fn wake(address: &str) -> Result<Duration, Failure> {
    let started = Instant::now();
    let (status, body) = Client::tcp(address)?.post("/", "{}")?;
    let taken = started.elapsed();
    if status == 202 { Ok(taken) } else { Err(format!("answered {status}: {body}").into()) }
}

/// Returns the wakes per second of all clients together.
fn many(address: &str) -> Result<f64, Failure> {
    let started = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let address = address.to_owned();
            thread::spawn(move || (0..EACH).try_for_each(|_| wake(&address).map(drop)))
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| "a client died")??;
    }
    Ok(f64::from(CLIENTS * EACH) / started.elapsed().as_secs_f64())
}
